"""The identity provider that crane's tests run against; `idp.oidc` is the way in."""
