"""How the page looks: in light and dark, as the reader's system has it, in a narrow window and a wide one."""

STYLE = """
:root { color-scheme: light dark;
  --ground: #f6f5f2; --card: #ffffff; --ink: #1d1d1f; --faint: #6d6d73; --line: #dddbd5;
  --train: #2f6fde; --val: #d9621c; --rate: #2b8a5a; --right: #2b8a5a; --wrong: #c9342c; --cell: 47, 111, 222;
  --product: #d5e4fa; --norm: #e7e6e1; --activation: #fbe6bf; --pool: #cfeed8; --other: #ffffff; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #131417; --card: #1c1e22; --ink: #ebebed; --faint: #9b9ca3; --line: #34363c;
  --train: #74a7ff; --val: #ff9a57; --rate: #63c992; --right: #63c992; --wrong: #ff7b72; --cell: 116, 167, 255;
  --product: #22375c; --norm: #2f3136; --activation: #54421d; --pool: #1f4630; --other: #1c1e22; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1280px; padding: 24px 20px 60px; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; }
h3 { font-size: 14px; margin: 0 0 6px; font-weight: 600; }
p { margin: 0 0 12px; }
.faint, figcaption, .note { color: var(--faint); font-size: 13px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px 20px;
  margin-top: 18px; min-width: 0; }
nav { margin: 14px 0 0; font-size: 13px; display: flex; flex-wrap: wrap; gap: 4px 16px; }
nav a { color: var(--faint); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(136px, 1fr)); gap: 12px; margin-top: 18px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 12px 14px; }
.tile b { display: block; font-size: 23px; line-height: 1.25; font-weight: 650; white-space: nowrap; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 20px; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 0 18px; }
figure { margin: 0; min-width: 0; }
svg { display: block; max-width: 100%; height: auto; }
svg text { fill: var(--ink); font-size: 11px; font-family: inherit; }
svg text.faint { fill: var(--faint); font-size: 11px; }
.grid { stroke: var(--line); stroke-width: 1; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.train { stroke: var(--train); } .val { stroke: var(--val); } .rate { stroke: var(--rate); }
.dot { stroke: none; } .dot.train { fill: var(--train); } .dot.val { fill: var(--val); }
.dot.rate { fill: var(--rate); }
.best { stroke: var(--faint); stroke-dasharray: 3 4; } .ring { fill: none; stroke-width: 2; }
.swatch { display: inline-block; width: 14px; height: 3px; border-radius: 2px; vertical-align: middle;
  margin: 0 5px 0 0; }
.legend span { margin-right: 14px; white-space: nowrap; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th { text-align: left; font-weight: 500; color: var(--faint); }
td, th { padding: 3px 10px 3px 0; vertical-align: top; overflow-wrap: anywhere; }
.settings tr { border-top: 1px solid var(--line); } .settings tr:first-child { border: 0; } .settings th { width: 40%; }
.classes td { white-space: nowrap; vertical-align: middle; }
.classes td:first-child { max-width: 150px; overflow: hidden; text-overflow: ellipsis; }
.classes .track { width: 60%; }
.classes .number { text-align: right; padding-right: 0; font-variant-numeric: tabular-nums; }
.bar { height: 10px; border-radius: 5px; background: var(--right); min-width: 2px; }
.rest { border-radius: 5px; background: var(--line); }
.scroll { overflow: auto; max-height: 720px; } .wide { overflow-x: auto; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 236px), 1fr)); gap: 14px; }
.card { border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1px; }
.pair img, .one img { width: 100%; aspect-ratio: 1; object-fit: cover; display: block; }
.card div.words { padding: 8px 12px 10px; font-size: 13px; line-height: 1.45; overflow-wrap: anywhere; }
.wrong { color: var(--wrong); } .right { color: var(--right); }
.pixels { image-rendering: pixelated; width: 100%; max-width: 560px; display: block; }
.maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(44%, 160px), 1fr)); gap: 16px;
  align-items: start; }
.maps img { width: 100%; display: block; border-radius: 6px; image-rendering: pixelated; }
.box { stroke: var(--line); stroke-width: 1; fill: var(--other); } .box.product { fill: var(--product); }
.box.norm { fill: var(--norm); } .box.activation { fill: var(--activation); } .box.pool { fill: var(--pool); }
.arrow { fill: none; stroke: var(--faint); stroke-width: 1.3; } .head { fill: var(--faint); }
svg text.name { font-weight: 600; font-size: 12px; }
.cell { fill: rgb(var(--cell)); } .cell.off { fill: var(--wrong); } svg .on { fill: #fff; }
@media (prefers-color-scheme: dark) { svg .on { fill: #101114; } }
@media (max-width: 520px) { body { padding: 16px 10px 40px; } section { padding: 14px 12px; } h1 { font-size: 22px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 8px; } .tile b { font-size: 19px; } .tile { padding: 9px 11px; } }
"""
