"""The style sheet of the page; colours and charts are those of `charts.palette`."""

from __future__ import annotations

from benchproof.charts import palette

_PAGE = """
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0 auto;max-width:75rem;padding:0 1rem 3rem;background:var(--page);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:1.2rem 0 .3rem}
h2{font-size:1.25rem;margin:2.4rem 0 .6rem;padding-top:.5rem;border-top:2px solid var(--grid)}
h3{font-size:1.05rem;margin:1.4rem 0 .4rem}
p,ul,dl{max-width:52rem;margin:.5rem 0}
ul{padding-left:1.2rem}
a{color:var(--link)}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--link);outline-offset:2px}
tr:target,li:target{outline:3px solid var(--doubt);outline-offset:2px}
code{font:.9em ui-monospace,monospace}
pre{background:var(--panel);padding:.6rem .8rem;overflow-x:auto;white-space:pre-wrap;margin:.5rem 0}
.skip{position:absolute;left:-100rem}
.skip:focus{left:1rem;top:.5rem;background:var(--page);padding:.5rem;z-index:1}
.hear{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.quiet{color:var(--muted)}
small,.small{font-size:.85rem}
nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;padding:0;max-width:none;font-size:.9rem}
aside{border-left:4px solid var(--doubt);background:var(--panel);padding:.5rem .8rem;margin:.8rem 0}
aside ul{margin:.2rem 0}
dl.facts{display:grid;grid-template-columns:minmax(8rem,19rem) minmax(0,1fr);gap:.3rem 1rem}
dl.facts dt{font-weight:600}
dl.facts dd{margin:0}
.scroll{overflow-x:auto;position:relative}
table{border-collapse:collapse;width:100%;margin:.5rem 0;font-size:.9rem}
caption{text-align:left;color:var(--muted);padding:.2rem 0 .4rem;max-width:52rem}
th,td{min-width:5.5rem;text-align:left;vertical-align:top;
padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--grid)}
thead th{border-bottom:2px solid var(--muted);vertical-align:bottom}
th{overflow-wrap:break-word}
tbody th{font-weight:600}
th small,figcaption small{font-weight:400}
tr.tier th{padding-top:1rem;color:var(--muted)}
td .ratio{display:block;white-space:nowrap}
.keep{white-space:nowrap}
td .figure{font-variant-numeric:tabular-nums}
.icon{width:.85em;height:.85em;vertical-align:-.05em;margin-right:.3em;overflow:visible}
.good{color:var(--good)}.bad{color:var(--bad)}.same{color:var(--same)}.doubt{color:var(--doubt)}
.badge{font-weight:600}
td .badge{white-space:nowrap}
.strip{width:40%;min-width:9rem}
.cases{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,34rem),1fr));gap:1rem 2rem}
figure{margin:0;min-width:0;overflow-x:clip;break-inside:avoid}
figcaption{font-weight:600;margin-bottom:.3rem}
.two{display:grid;grid-template-columns:1fr 1fr;gap:0 1.2rem}
.curves{max-width:46rem}
summary{cursor:pointer;font-weight:600;padding:.3rem 0}
ol.lines{list-style:none;display:flex;flex-wrap:wrap;gap:0 .9rem;margin:0;padding:0}
footer{margin-top:3rem;border-top:2px solid var(--grid);padding-top:.6rem;color:var(--muted);font-size:.85rem}
@media screen and (max-width:48rem){
.two{grid-template-columns:1fr}
dl.facts{grid-template-columns:minmax(0,1fr);gap:0}
dl.facts dd{margin-bottom:.5rem}
table.cards,table.cards tbody,table.cards tr,table.cards th,table.cards td{display:block;width:auto;text-align:left}
table.cards caption{display:block}
table.cards thead{position:absolute;left:-100rem}
table.forest thead{position:static;display:block}
table.forest thead th:not(.strip){position:absolute;left:-100rem}
table.forest thead th.strip{display:block;width:100%}
table.cards tr{border-bottom:2px solid var(--grid);padding:.4rem 0}
table.cards th,table.cards td{border:0;padding:.1rem 0}
table.cards td:empty{display:none}
table.cards td[data-head]::before{content:attr(data-head) ": ";color:var(--muted)}
table.cards td.strip{width:100%}
td .ratio{white-space:normal;display:inline;margin-left:.5rem}
}
@media print{
html{font-size:9pt}
body{max-width:none;padding:0}
td .ratio{white-space:normal}
nav,.skip{display:none}
h2,h3,caption,thead{break-after:avoid}
tr,aside,dl div{break-inside:avoid}
.cases{grid-template-columns:1fr 1fr;gap:.8rem 1.2rem}
.cases .two{grid-template-columns:1fr}
a{color:inherit;text-decoration:none}
details>summary::after{content:" (in the file)"}
body{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
@page{margin:14mm}
"""


def css() -> str:
    """All of it."""
    return palette.css() + _PAGE
