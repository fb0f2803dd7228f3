// The comparison's own behaviour; data come from #payload.
drawCharts(JSON.parse(document.getElementById("payload").textContent).charts);
