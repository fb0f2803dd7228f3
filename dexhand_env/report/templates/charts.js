// Draws the charts of a page, each where its name stands.
const drawCharts = (charts) => {
  "use strict";
  const options = { actions: false, renderer: "svg", tooltip: { theme: "custom" } };
  for (const plot of document.querySelectorAll("[data-chart]")) {
    window.vegaEmbed(plot, charts[plot.dataset.chart], options).catch((error) => {
      plot.textContent = "This chart could not be drawn: " + error.message;
      console.error(error);
    });
  }
};
