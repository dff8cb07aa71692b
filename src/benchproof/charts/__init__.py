"""Charts as SVG, drawn where the page is made: pure functions of frozen figures, without a script and without a file.

No chart computes a figure: what it shows was computed before, and is in the report. Places across are shares of the
width, heights are fixed: a chart fits a phone, a page and a sheet of paper, and its letters stay as large as they are.
Colours and strokes are classes of `palette.css()`, so that a page may forbid styles in elements.
"""
