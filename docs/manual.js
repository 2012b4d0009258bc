// The theme's search has the role of a dialog and no name; programs that read aloud need one. Scrolling boxes get a
// place in the order of the tab key, so that they can be scrolled without a mouse.
document$.subscribe(() => {
  document.querySelectorAll('[data-md-component="search"]').forEach((box) => box.setAttribute("aria-label", "Search"))
  document.querySelectorAll(".md-typeset table:not([class]), .md-typeset .formula").forEach((box) => (box.tabIndex = 0))
})
