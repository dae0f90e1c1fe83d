// Runs before anything is drawn: the theme that was chosen, and which plotly.js Dash loads where a chart is.
(function () {
  "use strict";
  var chosen = null;
  try { chosen = localStorage.getItem("leadscore-theme"); } catch (error) { /* storage is switched off */ }
  if (chosen === "dark" || chosen === "light") { document.documentElement.dataset.theme = chosen; }
  var plotly = document.querySelector('meta[name="plotly"]');
  // Dash sets it to the whole plotly.js, four times the size, which is not served.
  if (plotly) {
    Object.defineProperty(window, "_dashPlotlyJSURL", { get: function () { return plotly.content; }, set: function () {} });
  }
})();
