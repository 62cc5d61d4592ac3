"""What the tests measure on a page; each is a function of JavaScript that lists what is wrong."""

from __future__ import annotations

# Each text node that is not blank, with its element and the rectangles of its lines.
_TEXTS = """
const texts = () => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const node = walker.currentNode, range = document.createRange()
    range.selectNodeContents(node)
    if (node.data.trim())
      found.push({text: node.data.trim().slice(0, 60), element: node.parentElement,
                  lines: [...range.getClientRects()]})
  }
  return found
}
const shown = ({element}) =>
  element.checkVisibility({visibilityProperty: true, opacityProperty: true})
"""

SCROLLS_SIDEWAYS = """() => {
  const root = document.documentElement
  return root.scrollWidth > root.clientWidth ? [root.scrollWidth, root.clientWidth] : []
}"""

# Below 12 CSS pixels nobody reads; a line of no height is one that a style has hidden.
HARD_TO_READ = f"""() => {{
  {_TEXTS}
  const right = document.documentElement.clientWidth
  const bad = ({{element, lines}}) =>
    parseFloat(getComputedStyle(element).fontSize) < 12 || lines.length === 0 ||
    lines.some((line) => line.left < 0 || line.right > right || line.top < 0 || line.height < 8)
  return texts().filter((text) => shown(text) && bad(text)).map(({{text}}) => text)
}}"""

# Only the header row may be hidden: on a phone, where each cell has a label.
HIDDEN = f"""() => {{
  {_TEXTS}
  return texts().filter((text) => !shown(text) && !text.element.closest('thead'))
    .map(({{text}}) => text)
}}"""

# Lines of different texts that lie on each other by more than rounding.
OVERLAPS = f"""() => {{
  {_TEXTS}
  const lines = texts().filter(shown).flatMap(({{text, lines}}) =>
    lines.map((line) => ({{text, line}})))
  const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 ||
    a.bottom <= b.top + 4 || b.bottom <= a.top + 4
  return lines.flatMap((one, i) => lines.slice(i + 1)
    .filter((two) => one.text !== two.text && !apart(one.line, two.line))
    .map((two) => `${{one.text}} / ${{two.text}}`))
}}"""

# WCAG 2.2 §1.4.3. Colours are painted, so that any notation and all transparency count.
LOW_CONTRAST = f"""() => {{
  {_TEXTS}
  const brush = Object.assign(document.createElement('canvas'), {{width: 1, height: 1}})
    .getContext('2d', {{willReadFrequently: true}})
  const paint = (colours) => {{
    for (const colour of colours) {{ brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1) }}
    return [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3)
  }}
  const luminance = (colours) => paint(colours).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0)
  const dark = matchMedia('(prefers-color-scheme: dark)').matches
  const check = (element, pseudo) => {{
    const behind = [], style = getComputedStyle(element, pseudo)
    let faint = 1
    for (let at = element; at; at = at.parentElement) {{
      behind.unshift(getComputedStyle(at).backgroundColor)
      faint *= getComputedStyle(at).opacity
    }}
    behind.unshift(dark ? '#121212' : '#fff')
    const [low, high] = [luminance(behind), luminance([...behind, style.color])]
      .sort((a, b) => a - b)
    return {{ratio: (high + 0.05) / (low + 0.05), faint}}
  }}
  const poor = ({{ratio, faint}}) => ratio < 4.5 || faint < 1
  const labels = [...document.querySelectorAll('[data-label]')].filter((element) =>
    getComputedStyle(element, '::before').content !== 'none')
  return [...texts().filter(shown).map(({{text, element}}) => [text, check(element)]),
          ...labels.map((element) => [element.dataset.label, check(element, '::before')])]
    .filter(([, found]) => poor(found)).map(([text, found]) => `${{text}}: ${{found.ratio}}`)
}}"""

# The label of each cell that is shown and not empty, as it stands there.
LABELS = """() => [...document.querySelectorAll('tbody tr')].map((row) =>
  [...row.cells].filter((cell) => cell.checkVisibility() && cell.textContent).map((cell) => {
    const {content} = getComputedStyle(cell, '::before')
    return content === 'none' ? '' : JSON.parse(content)
  }))"""

# Labels that reach into the text beside them: what a style adds has no rectangle to ask for.
CRAMPED = """() => {
  const brush = document.createElement('canvas').getContext('2d')
  return [...document.querySelectorAll('[data-label]')].filter((cell) => {
    const label = getComputedStyle(cell, '::before')
    brush.font = label.font
    return label.content !== 'none' && brush.measureText(JSON.parse(label.content)).width + 4 >
      parseFloat(getComputedStyle(cell).paddingLeft)
  }).map((cell) => cell.dataset.label)
}"""

# What would run or load something, had a name become markup.
FOREIGN = """() => [...document.querySelectorAll('*')].filter((element) =>
  !['HTML', 'HEAD', 'META', 'TITLE', 'LINK', 'STYLE', 'BODY', 'MAIN', 'H1', 'H2', 'P', 'DL', 'DT',
    'DD', 'TABLE', 'THEAD', 'TBODY', 'TR', 'TH', 'TD', 'SPAN'].includes(element.tagName)
  || [...element.attributes].some(({name}) => name.startsWith('on') || name === 'src')
  || (element.tagName === 'STYLE' && element.parentElement !== document.head))
  .map((element) => element.outerHTML)"""
