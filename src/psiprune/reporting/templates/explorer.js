"use strict";

// Three significant digits, ties away from 0, as `significant` of report/numbers.py.
function shown(x) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  if (x === 0) return "0";
  const [digits, power] = Math.abs(x).toExponential(2).split("e");
  const exponent = Number(power);
  const sign = x < 0 ? "−" : "";
  if (exponent >= -3 && exponent < 6) {
    return sign + Number(`${digits}e${exponent}`).toFixed(Math.max(0, 2 - exponent));
  }
  const raised = String(exponent).replace(/[-0-9]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));
  return `${sign}${digits}\u202f×\u202f10${raised}`;
}

function startExplorer() {
  const holder = document.getElementById("explorer-data");
  if (!holder) return;
  const data = JSON.parse(holder.textContent);
  const by = (id) => document.getElementById(id);
  const slider = by("level");
  let field = 0;

  function svg(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function html(name, content) {
    const made = document.createElement(name);
    for (const part of [].concat(content === undefined ? [] : content)) made.append(part);
    return made;
  }

  // A number as it is read, with its full value beside it; `what` says which one it is.
  function value(x, what, text = shown(x)) {
    const made = html("data", text);
    if (x !== null && x !== undefined) made.value = String(x);
    made.dataset.what = what;
    return made;
  }

  function withError(of, level, what) {
    const found = [value(of.value[level], what)];
    if (of.error) found.push(" ± ", value(of.error[level], `${what}_error`));
    return found;
  }

  const largest = (list) =>
    list.flat(Infinity).reduce((most, x) => (x === null ? most : Math.max(most, Math.abs(x))), 0);
  const percent = (x) => `${(100 * x).toFixed(1)}\u00a0%`;
  const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;

  function drawGraph(here, level) {
    const figure = by("graph");
    figure.hidden = !here.weights;
    if (!here.weights) return;
    const weights = here.weights[level];
    const most = largest(here.weights) || 1;
    const across = (k, n) => 12 + (296 * (k + 0.5)) / n;
    const top = 28, bottom = 148;
    const drawing = figure.querySelector("svg");
    drawing.replaceChildren();
    const lines = weights.flatMap((row, j) => row.map((w, i) => [w, j, i])).filter(([w]) => w !== null);
    lines.sort((a, b) => Math.abs(a[0]) - Math.abs(b[0]));
    for (const [w, j, i] of lines) {
      drawing.append(svg("line", {
        class: w < 0 ? "negative" : "positive",
        x1: across(j, data.hidden), y1: top, x2: across(i, data.sites), y2: bottom,
        "stroke-width": (0.3 + (4.2 * Math.abs(w)) / most).toFixed(2),
      }));
    }
    const radius = (n) => Math.max(1.5, Math.min(6, 120 / n));
    for (let j = 0; j < data.hidden; j++) {
      drawing.append(svg("circle", { class: "unit", cx: across(j, data.hidden), cy: top, r: radius(data.hidden) }));
    }
    for (let i = 0; i < data.sites; i++) {
      drawing.append(svg("circle", { class: "unit", cx: across(i, data.sites), cy: bottom, r: radius(data.sites) }));
    }
    drawing.append(
      svg("text", { x: 160, y: 13, "text-anchor": "middle" }, `${count(data.hidden, "hidden unit", "hidden units")}`),
      svg("text", { x: 160, y: 172, "text-anchor": "middle" }, `${count(data.sites, "site", "sites")} of the chain`),
    );
    const parts = here.components[level];
    const strongest = lines.length ? Math.abs(lines[lines.length - 1][0]) : null;
    drawing.setAttribute("aria-label",
      `Graph of the RBM: ${count(lines.length, "weight", "weights")} between ${data.hidden} hidden units and ` +
      `${data.sites} sites, in ${count(parts, "part", "parts")}. ` +
      `${lines.filter(([w]) => w < 0).length} weights are negative.`);
    figure.querySelector("figcaption").replaceChildren(
      `The RBM of seed ${data.seed}. Width: magnitude, at most |W| = `,
      value(strongest, "largest_weight"),
      "; solid: positive, dashed: negative.",
    );
  }

  // Round numbers from low to high, some four of them.
  function ticks(low, high, least = 0) {
    const rough = (high - low) / 4 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(least, [1, 2, 5, 10].find((k) => k * power >= rough * 0.999) * power);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
    return found;
  }

  // As few digits as a round number needs.
  const short = (t) => String(Number(t.toPrecision(6))).replace("-", "−");

  // Axes, and where x and y lie on the drawing.
  function axes(drawing, [from, to], [low, high], marks, xLabel, yLabel) {
    drawing.replaceChildren();
    const left = 44, right = 308, top = 20, bottom = 162;
    const x = (t) => left + ((right - left) * (t - from)) / (to - from || 1);
    const y = (t) => bottom - ((bottom - top) * (t - low)) / (high - low || 1);
    drawing.append(svg("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` }));
    if (low < 0) drawing.append(svg("path", { class: "axis", d: `M${left} ${y(0)}H${right}` }));
    for (const t of ticks(low, high)) {
      drawing.append(svg("path", { class: "axis", d: `M${left - 4} ${y(t)}h4` }));
      drawing.append(svg("text", { x: left - 7, y: y(t) + 4, "text-anchor": "end" }, short(t)));
    }
    for (const t of marks) {
      drawing.append(svg("path", { class: "axis", d: `M${x(t)} ${bottom}v4` }));
      drawing.append(svg("text", { x: x(t), y: bottom + 16, "text-anchor": "middle" }, short(t)));
    }
    drawing.append(svg("text", { x: (left + right) / 2, y: 195, "text-anchor": "middle" }, xLabel));
    drawing.append(svg("text", { x: left, y: 11, "text-anchor": "middle" }, yLabel));
    return { x, y };
  }

  function errorBar(drawing, at, middle, error, y) {
    if (!error) return;
    drawing.append(svg("line", { class: "error", x1: at, x2: at, y1: y(middle - error), y2: y(middle + error) }));
  }

  const path = (points) => points.map(([a, b], k) => `${k ? "L" : "M"}${a.toFixed(1)} ${b.toFixed(1)}`).join("");

  function drawHistogram(here, level) {
    const of = here.magnetization_distribution;
    const figure = by("histogram");
    figure.hidden = !of;
    if (!of) return;
    const drawing = figure.querySelector("svg");
    const ms = of.ones.map((k) => 1 - (2 * k) / data.sites);
    const pad = 1 / data.sites;
    const high = largest([of.value, of.reference || []]);
    const marks = [-1, -0.5, 0, 0.5, 1];
    const { x, y } = axes(drawing, [-1 - pad, 1 + pad], [0, high], marks, "magnetization m", "P(m)");
    const half = 0.42 * Math.abs(x(ms[0]) - x(ms[1]));
    ms.forEach((m, k) => {
      const p = of.value[level][k];
      drawing.append(svg("rect", { class: "bar", x: x(m) - half, y: y(p), width: 2 * half, height: y(0) - y(p) }));
      errorBar(drawing, x(m), p, of.error && of.error[level][k], y);
    });
    if (of.reference) {
      drawing.append(svg("path", { class: "exact", d: path(ms.map((m, k) => [x(m), y(of.reference[k])])) }));
      ms.forEach((m, k) => drawing.append(svg("circle", { class: "mark", cx: x(m), cy: y(of.reference[k]), r: 2.5 })));
    }
    const peak = of.value[level].indexOf(Math.max(...of.value[level]));
    drawing.setAttribute("aria-label",
      `Histogram of the magnetization with ${ms.length} bars; the highest is ${shown(of.value[level][peak])} at m = ${shown(ms[peak])}.`);
    const caption = ["Bars: P(m) of the RBM", of.reference ? "; dashed line with circles: exact." : "."];
    if (here.abs_magnetization) {
      caption.push(" ⟨|m|⟩ = ", ...withError(here.abs_magnetization, level, "abs_magnetization"));
      if (here.abs_magnetization.reference !== null) {
        caption.push(", exact ", value(here.abs_magnetization.reference, "abs_magnetization_reference"));
      }
      caption.push(".");
    }
    if (here.magnetization) {
      caption.push(" ⟨m⟩ = ", ...withError(here.magnetization, level, "magnetization"), ".");
    }
    figure.querySelector("figcaption").replaceChildren(...caption);
  }

  function drawDecay(here, level) {
    const of = here.correlation;
    const figure = by("decay");
    figure.hidden = !of;
    if (!of) return;
    const drawing = figure.querySelector("svg");
    const all = [of.value, of.reference || []].flat(Infinity).filter((c) => c !== null);
    const low = Math.min(0, ...all);
    const range = [of.distance[0], of.distance[of.distance.length - 1]];
    const { x, y } = axes(drawing, range, [low, Math.max(...all)], ticks(...range, 1), "distance d (sites)", "C(d)");
    const now = of.value[level];
    drawing.append(svg("path", { class: "line", d: path(of.distance.map((d, k) => [x(d), y(now[k])])) }));
    of.distance.forEach((d, k) => {
      errorBar(drawing, x(d), now[k], of.error && of.error[level][k], y);
      drawing.append(svg("circle", { class: "dot", cx: x(d), cy: y(now[k]), r: 2.6 }));
    });
    if (of.reference) {
      drawing.append(svg("path", { class: "exact", d: path(of.distance.map((d, k) => [x(d), y(of.reference[k])])) }));
      of.distance.forEach((d, k) => drawing.append(svg("circle", { class: "mark", cx: x(d), cy: y(of.reference[k]), r: 2.5 })));
    }
    const last = of.distance.length - 1;
    drawing.setAttribute("aria-label",
      `Correlation over distance: from ${shown(now[0])} at d = ${of.distance[0]} to ${shown(now[last])} at d = ${of.distance[last]}` +
      (of.reference ? `, exact ${shown(of.reference[last])}.` : "."));
    figure.querySelector("figcaption").replaceChildren(
      "Solid line with dots: C(d) of the RBM, from the middle of the chain",
      of.reference ? "; dashed line with circles: exact." : ".",
    );
  }

  function trend(of, level) {
    const drawing = svg("svg", { class: "trend", viewBox: "0 0 80 20", "aria-hidden": "true" });
    const known = of.median.map((v, k) => [k, v]).filter(([, v]) => v !== null && v > 0);
    if (known.length < 2) return drawing;
    const logs = known.map(([, v]) => Math.log(v));
    const low = Math.min(...logs), span = Math.max(...logs) - low || 1;
    const last = of.median.length - 1;
    const place = ([k, v]) => [3 + (74 * k) / last, 17 - (14 * (Math.log(v) - low)) / span];
    drawing.append(svg("path", { class: "line", d: path(known.map(place)) }));
    const here = known.find(([k]) => k === level);
    if (here) {
      const [cx, cy] = place(here);
      drawing.append(svg("circle", { class: "dot", cx, cy, r: 3 }));
    }
    return drawing;
  }

  function tellMeasures(here, level) {
    const rows = data.measures.map(({ name, label, unit }) => {
      const of = here[name];
      const head = html("th", [unit ? `${label} (${unit})` : label, trend(of, level)]);
      head.scope = "row";
      head.role = "rowheader";
      const own = [value(of.value[level], name)];
      if (of.error) own.push(html("span", ["± ", value(of.error[level], `${name}_error`)]));
      const cells = [own];
      if (data.seeds > 1) {
        const spread = [value(of.low[level], `${name}_low`), " to ", value(of.high[level], `${name}_high`)];
        cells.push([value(of.median[level], `${name}_median`), html("span", spread)]);
      }
      cells.push(of.floor ? value(of.floor[level], `${name}_floor`) : "–");
      const row = html("tr", [head, ...cells.map((content) => {
        const cell = html("td", content);
        cell.role = "cell"; // the style sheet takes the table apart on a phone
        return cell;
      })]);
      row.role = "row";
      return row;
    });
    const table = by("measures").querySelector("table");
    table.querySelector("tbody").replaceChildren(...rows);
    table.querySelector("caption").textContent =
      `Errors at level ${here.level[level]}, ${here.label}` +
      (data.seeds > 1 ? `; medians of ${data.seeds} seeds, below them 16 to 84 %` : "");
  }

  function tellDrawn(here, level) {
    const one = (title, over, of, place, name) => {
      const head = [over, "RBM", "± error", "exact"].map((text) => {
        const made = html("th", text);
        made.scope = "col";
        return made;
      });
      const rows = of.value[level].map((v, k) => {
        const first = html("th", place(k));
        first.scope = "row";
        return html("tr", [
          first,
          html("td", value(v, `${name}[${k}]`)),
          html("td", of.error ? value(of.error[level][k], `${name}_error[${k}]`) : "–"),
          html("td", of.reference ? value(of.reference[k], `${name}_reference[${k}]`) : "–"),
        ]);
      });
      return html("table", [html("caption", title), html("thead", html("tr", head)), html("tbody", rows)]);
    };
    const tables = [];
    const p = here.magnetization_distribution, c = here.correlation;
    if (p) {
      const m = (k) => shown(1 - (2 * p.ones[k]) / data.sites);
      tables.push(one("P(m)", "m", p, m, "magnetization_distribution"));
    }
    if (c) tables.push(one("C(d)", "d", c, (k) => String(c.distance[k]), "correlation"));
    by("drawn").replaceChildren(...tables);
  }

  function show() {
    const here = data.fields[field];
    const level = Number(slider.value);
    const total = here.weights_kept[0];
    const first = data.measures[0];
    const parts = count(here.components[level], "part", "parts");
    const state = `level ${here.level[level]} of ${here.level[here.level.length - 1]}`;
    slider.setAttribute("aria-valuetext", `${state}, ${percent(here.fraction_pruned[level])} pruned`);
    by("state").replaceChildren(
      `${here.label}, ${state}: `,
      value(here.weights_kept[level], "weights_kept", String(here.weights_kept[level])), ` of ${count(total, "weight", "weights")} left `,
      `(${percent(here.fraction_pruned[level])} pruned), graph in ${parts}`,
      ...(first ? [`, ${first.label} `, value(here[first.name].value[level], first.name), first.unit && ` ${first.unit}`] : []),
      ".",
    );
    drawGraph(here, level);
    drawHistogram(here, level);
    drawDecay(here, level);
    tellMeasures(here, level);
    tellDrawn(here, level);
  }

  function step(change) {
    slider.value = String(Number(slider.value) + change); // the slider keeps to its range
    show();
  }

  slider.addEventListener("input", show);
  by("fewer").addEventListener("click", () => step(-1));
  by("more").addEventListener("click", () => step(1));
  for (const radio of document.querySelectorAll('input[name="field"]')) {
    radio.addEventListener("change", () => { field = Number(radio.value); show(); });
    if (radio.checked) field = Number(radio.value); // a browser may bring back an earlier choice
  }
  by("explorer").hidden = false;
  show();
}

startExplorer();
