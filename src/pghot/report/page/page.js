"use strict";
// Draws the charts, switches colours, chooses and zooms heat maps.  Colours are CSS variables
// all through, so that a switch, and print, need no other drawing.
(() => {
  const views = JSON.parse(document.getElementById("views").textContent);
  const drawn = {};
  const LEGEND_PX = 190; // of the widest entry of a legend
  const text = { labelColor: "var(--fg)", titleColor: "var(--fg)" };
  const config = {
    background: null,
    font: 'system-ui, "DejaVu Sans", sans-serif',
    view: { stroke: "var(--line)" },
    axis: {
      ...text, gridColor: "var(--grid)", domainColor: "var(--line)", tickColor: "var(--line)",
      labelFontSize: 12, titleFontSize: 13, titleFontWeight: "normal", labelOverlap: "greedy", labelSeparation: 8,
    },
    legend: { ...text, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal",
      symbolStrokeWidth: 2 },
    text: { color: "var(--fg)", fontSize: 12 },
  };

  // A heat map comes as counts, row by row; what is nothing is not drawn.
  function cells(heat) {
    const found = [];
    heat.counts.forEach((count, at) => {
      if (!count) return;
      const n = count * heat.unit;
      const column = at % heat.columns, row = (at - column) / heat.columns;
      const shade = heat.labels[heat.bounds.filter((bound) => bound <= n).length];
      found.push({ k: shade,
        t: column * heat.dt, t2: (column + 1) * heat.dt,
        a: row * heat.da, a2: (row + 1) * heat.da, n,
      });
    });
    return found;
  }

  // Lines come as values, column by column of time; where nothing happened a line has a gap.
  function points(lines) {
    return Object.entries(lines).flatMap(([run, [step, values]]) =>
      values.map((v, at) => ({ t: step * (at + 0.5), v, run })));
  }

  async function draw(name) {
    const { spec, heat, lines } = views[name];
    if (heat) spec.data = { values: cells(heat) };
    if (lines) spec.data = { values: points(lines) };
    const place = document.querySelector(`[data-view="${CSS.escape(name)}"]`);
    const columns = Math.max(Math.floor(place.clientWidth / LEGEND_PX), 1);
    // ast: expressions are interpreted, as the page's policy forbids to evaluate any.
    const result = await vegaEmbed(place, spec, {
      mode: "vega-lite", renderer: "svg", actions: false, ast: true,
      config: { ...config, legend: { ...config.legend, columns } },
    });
    drawn[name] = result.view;
    place.dataset.drawn = "yes";
  }

  const shown = () => [...document.querySelectorAll("figure:not([hidden])")];
  const whole = {};

  function domain(view, axis) {
    return view.scale(axis).domain().map(Number);
  }

  async function zoom(name, kind) {
    const view = drawn[name];
    whole[name] ??= { x: domain(view, "x"), y: domain(view, "y") };
    const by = { in: [0.5, 0, 0], out: [2, 0, 0], left: [1, -0.25, 0], right: [1, 0.25, 0],
      up: [1, 0, 0.25], down: [1, 0, -0.25] }[kind];
    for (const [axis, signal, step] of [["x", "zoom_t", 1], ["y", "zoom_a", 2]]) {
      const all = whole[name][axis];
      let [low, high] = domain(view, axis);
      if (by) {
        const width = Math.min((high - low) * by[0], all[1] - all[0]);
        const middle = (low + high) / 2 + (high - low) * by[step];
        low = Math.min(Math.max(middle - width / 2, all[0]), all[1] - width);
        high = low + width;
      } else {
        [low, high] = all;
      }
      view.signal(signal, [low, high]);
    }
    await view.runAsync();
  }

  document.addEventListener("click", (event) => {
    const kind = event.target.dataset?.zoom;
    if (kind) zoom(event.target.closest("[data-for]").dataset.for, kind);
  });
  document.addEventListener("change", (event) => {
    const { name, value, dataset } = event.target;
    if (name === "theme") {
      if (value) document.documentElement.dataset.theme = value;
      else delete document.documentElement.dataset.theme;
    }
    if (dataset.choice) {
      for (const figure of document.querySelectorAll(`[data-of="${CSS.escape(dataset.choice)}"]`)) {
        figure.hidden = figure.id !== value;
      }
      if (!drawn[value]) draw(value);
    }
  });

  Promise.all(shown().map((figure) => draw(figure.id))).then(() => {
    document.documentElement.dataset.ready = "yes";
  });
})();
