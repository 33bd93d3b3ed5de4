"use strict";
// Draws the interactive form of each chart in the place of its static one, in the colours of the page.
(() => {
  const narrowest = 230, edge = 44;
  const config = {
    displaylogo: false, responsive: false, showLink: false, plotlyServerURL: "",
    // Named one by one: by default plotly adds buttons that send the chart's data to its makers.
    modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  };

  const coloured = (value, style) => {
    if (typeof value === "string") return value.replace(/^var\((--\w+)\)$/, (_, name) => style.getPropertyValue(name).trim());
    if (Array.isArray(value)) return value.map((item) => coloured(item, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, style)]));
  };

  // A title that all facets share, once: moved from the axes to the edge of the figure.
  const shareTitle = (layout, letter, place) => {
    const axes = Object.keys(layout).filter((key) => key.startsWith(`${letter}axis`)).map((key) => layout[key]);
    const titles = new Set(axes.map((axis) => axis.title.text));
    if (axes.length === 1 || titles.size > 1) return false;
    layout.annotations.push({ text: [...titles][0], xref: "paper", yref: "paper", showarrow: false, font: axes[0].title.font, ...place });
    axes.forEach((axis) => { axis.title.text = ""; });
    return true;
  };

  // As many facets side by side as there is room for.
  const arranged = (figure, width) => {
    const { data, layout, rowHeight } = figure;
    const facets = Object.keys(layout).filter((key) => key.startsWith("xaxis")).length;
    const columns = Math.max(1, Math.min(layout.grid.columns, Math.floor(width / narrowest)));
    const rows = Math.ceil(facets / columns);
    for (let place = 1; place < facets; place += 1) {
      const axis = layout[`yaxis${place + 1}`];
      if (axis.matches) axis.showticklabels = place % columns === 0;
    }
    const sharedX = shareTitle(layout, "x", { x: 0.5, y: 0, yshift: -edge + 12, yanchor: "top" });
    const sharedY = shareTitle(layout, "y", { x: 0, y: 0.5, xshift: -edge, xanchor: "right", textangle: -90 });
    Object.assign(layout.grid, { rows, columns, xgap: sharedY ? 0.16 : 0.3 });
    const titled = layout.annotations.some((one) => `${one.yref}`.endsWith("domain") && one.y === 1);
    layout.grid.ygap = Math.min(0.7, ((titled ? 26 : 8) + (sharedX ? 30 : 60)) / rowHeight);
    layout.margin = { l: sharedY ? edge + 24 : 60, r: 14, t: titled ? 26 : 10, b: edge + 14 };
    layout.height = rows * rowHeight + edge + 14 + (data.some((trace) => trace.showlegend) ? 40 : 0);
    layout.legend.y = 1 + (titled ? 26 : 6) / (rows * rowHeight);
    return { data, layout };
  };

  const draw = async (element) => {
    const target = element.querySelector(".interactive");
    const figure = JSON.parse(element.querySelector("script[type='application/json']").textContent);
    element.classList.add("live");
    try {
      const style = getComputedStyle(document.documentElement);
      const { data, layout } = arranged(coloured(figure, style), element.clientWidth);
      target.style.height = `${layout.height}px`;
      await Plotly.react(target, data, layout, config);
    } catch (error) {
      element.classList.remove("live");
      throw error;
    }
  };
  const drawAll = () => document.querySelectorAll("figure.chart").forEach(draw);

  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) { width = innerWidth; drawAll(); }
  });
})();
