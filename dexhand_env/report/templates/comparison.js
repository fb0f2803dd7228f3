// Draws the comparison's charts; data come from #payload.
(() => {
  "use strict";
  const payload = JSON.parse(document.getElementById("payload").textContent);
  const options = { actions: false, renderer: "svg", tooltip: { theme: "custom" } };
  for (const plot of document.querySelectorAll("[data-chart]")) {
    window.vegaEmbed(plot, payload.charts[plot.dataset.chart], options).catch((error) => {
      plot.textContent = "This chart could not be drawn: " + error.message;
      console.error(error);
    });
  }
})();
