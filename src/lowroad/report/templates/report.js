"use strict";
// Draws each chart when it comes near the screen, in the colours of the reader's theme.
(() => {
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const options = {
    responsive: true,
    displaylogo: false,
    displayModeBar: touch ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function themed(spec) {
    const ink = color("--ink");
    const dark = color("--paper") !== "#ffffff";
    const { data, layout } = JSON.parse(JSON.stringify(spec), (key, value) =>
      key.endsWith("color") && value === "black" ? ink : value); // not a name, "black"
    for (const trace of data) {
      if (dark && trace.opacity < 1 && trace.mode === "lines" && !trace.fill) {
        trace.opacity = Math.min(1, 1.8 * trace.opacity); // thin lines fade on a dark ground
      }
      if (trace.meta === "ink") {
        if (trace.line) trace.line.color = ink;
        if (trace.marker) {
          trace.marker.color = ink;
          trace.marker.line.color = ink;
        }
      }
    }
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
    layout.font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink };
    layout.hoverlabel = { bgcolor: color("--raised"), bordercolor: color("--line"), font: { color: ink } };
    for (const key of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) {
      Object.assign(layout[key], { gridcolor: color("--grid"), linecolor: color("--line"), fixedrange: touch });
    }
    for (const key of Object.keys(layout).filter((name) => /^scene/.test(name))) {
      for (const axis of ["xaxis", "yaxis", "zaxis"]) {
        Object.assign(layout[key][axis], {
          color: ink, gridcolor: color("--grid"), zerolinecolor: color("--grid"), showspikes: false,
        });
      }
      if (touch) layout[key].dragmode = "turntable";
    }
    for (const shape of layout.shapes ?? []) shape.line = { ...shape.line, color: ink };
    return [data, layout];
  }

  const drawn = new Map(); // from each chart to the promise of its drawing
  const isScene = (element) => "scene" in specs[element.id].layout;
  const isShown = (element) => element.offsetParent !== null;
  const plot = (element) =>
    drawn.set(element, Plotly.newPlot(element, ...themed(specs[element.id]), options));
  const draw = (element) => drawn.has(element) || plot(element);
  const redraw = () => [...drawn.keys()].forEach(plot);
  // A browser keeps a handful of 3-D drawings alive at once: those far from the screen are let go.
  function letGo(element) {
    const ready = drawn.get(element);
    drawn.delete(element);
    ready?.then(() => drawn.has(element) || Plotly.purge(element));
  }

  // A chooser shows those of the .option elements beside it that fit all of its selections.
  for (const chooser of document.querySelectorAll(".chooser")) {
    const selects = [...chooser.querySelectorAll("select")];
    const choices = [...chooser.parentElement.querySelectorAll(".option")];
    const choose = () => {
      for (const choice of choices) {
        choice.hidden = selects.some((select) => choice.dataset[select.dataset.key] !== select.value);
      }
    };
    selects.forEach((select) => select.addEventListener("change", choose));
    choose();
  }

  const charts = [...document.querySelectorAll(".chart")];
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const chart = entry.target;
        if (entry.isIntersecting) draw(chart);
        if (isScene(chart) && !entry.isIntersecting) letGo(chart);
        if (!isScene(chart) && entry.isIntersecting) observer.unobserve(chart);
      }
    },
    { rootMargin: "600px" },
  );
  charts.forEach((element) => observer.observe(element));

  // On paper everything is drawn in light colours and at the paper's width, and nothing is folded.
  const folded = [];
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      folded.push(details);
    }
    document.documentElement.classList.add("printing");
    charts.filter(isShown).forEach(draw);
    redraw();
  });
  window.addEventListener("afterprint", () => {
    for (const details of folded.splice(0)) details.open = false;
    document.documentElement.classList.remove("printing");
    redraw();
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
})();
