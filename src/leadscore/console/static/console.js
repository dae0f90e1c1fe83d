// The shell in the browser: refresh that waits for its answer, forms, CSV, theme, and where the focus goes.
(function () {
  "use strict";
  const dash = (window.dash_clientside = window.dash_clientside || {});
  const find = (name) => document.getElementById(name);

  // --- The one component of our own (console/fields.py) ------------------------------------------------------
  window.leadscore_console = {
    Field: function (props) {
      const given = {};
      for (const name of Object.keys(props)) {
        if (!["setProps", "children", "loading_state", "componentPath", "_dashprivate_layout"].includes(name)) {
          given[name] = props[name];
        }
      }
      return window.React.createElement("input", given);
    },
  };

  // --- Who is not signed in any more goes to the form, and comes back ---------------------------------------
  const fetched = window.fetch;
  let leaving = false;
  window.fetch = async function (...given) {
    const page = String(given[0] && given[0].url || given[0]).includes("/_dash-update-component");
    const refresh = page && asked;
    if (page) { asked = false; }
    let reply;
    try { reply = await fetched.apply(this, given); }
    catch (error) { if (page) { failed("The console does not answer."); } throw error; }
    if (page && !reply.ok && reply.status !== 401) { failed(`The console failed (HTTP ${reply.status}).`); }
    // Somebody began to read or write while the page was being made: what they see stays.
    if (refresh && reply.ok && held()) {
      clearTimeout(watchdog);
      later();
      return new Response(null, { status: 204 });
    }
    if (reply.status === 401 && !leaving) {
      const told = await reply.clone().json().catch(() => ({}));
      if (told.code === "session_refused") {
        leaving = true;
        const next = encodeURIComponent(location.pathname + location.search);
        location.assign(`/sign-in?next=${next}&why=${told.why}`);
      }
    }
    return reply;
  };

  // --- Refresh: one request at a time, none while nobody looks or somebody is at work in the page -----------
  let timer = 0, watchdog = 0, tick = 0, paused = false, shown = null, asked = false, address = "";
  const seconds = () => Number((find("shell") || { dataset: {} }).dataset.refresh || 5);
  // A refresh makes the page anew: it would close what was opened, take the focus and wipe what was typed.
  const held = () => {
    const at = document.activeElement;
    if (at && at.closest && at.closest("#content")) { return true; }
    return document.querySelector("#content details[open], #content form[data-touched]") !== null;
  };
  function say(text) { const at = find("refresh-state"); if (at && at.textContent !== text) { at.textContent = text; } }
  function later() {
    clearTimeout(timer);
    if (!paused) { timer = setTimeout(ask, seconds() * 1000); }
  }
  function failed(words) {
    clearTimeout(watchdog);
    say("No answer from the console");
    const at = document.querySelector("#content > p.hint");
    if (at) { at.textContent = "Nothing could be loaded."; }
    tell(words, "critical", "What is shown may be old. It is asked again by itself; or load the page again.");
    find("said").firstChild.dataset.failed = "true";
    later();
  }
  function ask(anyway) {
    if (document.hidden || paused) { return; }
    if (anyway !== true && held()) { say("Waiting while you are at work here"); later(); return; }
    tick += 1;
    asked = anyway !== true;
    watchdog = setTimeout(() => {
      say("No answer from the console");
      later();
    }, 20000);
    dash.set_props("tick", { data: tick });
  }
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden && shown !== null) { ask(); }
  });

  dash.leadscore = {
    served: function (told) {
      if (!told) { return dash.no_update; }
      clearTimeout(watchdog);
      const moved = shown !== null && shown !== told.path;
      shown = told.path;
      if (address !== location.href) {
        address = location.href;
        for (const form of document.querySelectorAll("#content form.filters")) { delete form.dataset.touched; }
      }
      const fault = document.querySelector("#said [data-failed]");
      if (fault) { fault.remove(); }
      const title = find("title");
      if (title && title.textContent !== told.title) { title.textContent = told.title; }
      document.title = `${told.title} · LeadScore`;
      say(`${told.fresh ? "Updated" : "Not updated"} ${told.at}`);
      for (const link of document.querySelectorAll("nav.side a")) {
        if (link.pathname === told.path) { link.setAttribute("aria-current", "page"); }
        else { link.removeAttribute("aria-current"); }
      }
      if (moved) {
        find("said").replaceChildren();
        window.scrollTo(0, 0);
        if (title) { title.focus({ preventScroll: true }); }
      }
      const words = new URLSearchParams(location.hash.slice(1)).get("said");
      if (words) {
        history.replaceState(null, "", location.pathname + location.search);
        tell(words, "good");
      }
      later();
      return told.tick;
    },
  };

  function tell(words, level, hint) {
    const at = find("said");
    if (!at) { return; }
    const line = document.createElement("p");
    line.className = level;
    line.textContent = hint ? `${words} ${hint}` : words;
    at.replaceChildren(line);
    at.scrollIntoView({ block: "nearest" });
  }

  // --- Forms -------------------------------------------------------------------------------------------------
  function go(url) {
    history.pushState({}, "", url);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
  }
  function choose(form, changed) {
    const given = new FormData(form);
    const kept = new URLSearchParams();
    const custom = given.get("since") || given.get("until");
    const preset = changed === "range" && given.get("range") !== "custom";
    for (const [name, value] of given) {
      const dates = name === "since" || name === "until";
      if (!value || (dates && preset) || (name === "range" && ((custom && !preset) || value === "custom"))) { continue; }
      kept.set(name, value);
    }
    const query = kept.toString();
    delete form.dataset.touched;
    go(form.getAttribute("action") + (query ? `?${query}` : ""));
  }
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.filters) { event.preventDefault(); choose(form, ""); }
    else if (form.dataset.action) { event.preventDefault(); act(form); }
  }, true);
  document.addEventListener("change", (event) => {
    const form = event.target.form;
    if (form && form.dataset.filters && event.target.tagName === "SELECT" && event.target.value !== "custom") {
      choose(form, event.target.name);
    }
  });
  document.addEventListener("input", (event) => {
    const form = event.target.form;
    if (form && (form.dataset.action || form.dataset.filters)) { form.dataset.touched = "true"; }
  });
  function cookie(name) {
    const found = document.cookie.split("; ").find((one) => one.startsWith(`${name}=`));
    return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
  }
  async function act(form) {
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    tell("Working …", "info");
    try {
      const reply = await window.fetch(form.getAttribute("action"), {
        method: "POST",
        headers: { "X-CSRFToken": cookie("_csrf_token") },
        body: new URLSearchParams(new FormData(form, event_button(form))),
      });
      const told = await reply.json();
      if (!reply.ok) { tell(told.message, "critical", told.hint); return; }
      if (told.redirect) { location.assign(told.redirect); return; }
      form.reset();
      delete form.dataset.touched;
      tell(told.sentence, "good");
      document.activeElement.blur();
      ask(true);
    } catch (error) {
      tell("The console did not answer; nothing is known to have been done.", "critical", "Load the page and look.");
    } finally {
      button.disabled = false;
      for (const secret of form.querySelectorAll("input[type=password]")) { secret.value = ""; }
    }
  }
  function event_button(form) { return form.querySelector("button[type=submit][name]") || undefined; }

  // --- CSV ---------------------------------------------------------------------------------------------------
  function cell(node) {
    let text = node.dataset.value !== undefined ? node.dataset.value : node.textContent;
    if (node.dataset.value === undefined && /^[=+\-@\t\r]/.test(text)) { text = `'${text}`; }
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest ? event.target.closest("button") : null;
    if (!button) { return; }
    if (button.dataset.csv) {
      const rows = [...button.parentElement.querySelectorAll("tr")].map((row) => [...row.cells].map(cell).join(","));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([rows.join("\r\n") + "\r\n"], { type: "text/csv" }));
      link.download = `${button.dataset.csv}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    } else if (button.id === "refresh-switch") {
      paused = !paused;
      button.textContent = paused ? "Resume" : "Pause";
      if (paused) { clearTimeout(timer); say("Paused"); } else { ask(); }
    } else if (button.id === "theme-switch") {
      const now = dark() ? "light" : "dark";
      document.documentElement.dataset.theme = now;
      try { localStorage.setItem("leadscore-theme", now); } catch (error) { /* storage is switched off */ }
      themed();
    } else if (button.id === "sign-out") {
      window.fetch("/sign-out", { method: "POST", headers: { "X-CSRFToken": cookie("_csrf_token") } })
        .then((reply) => location.assign(reply.status === 503 ? "/sign-in?why=unsure" : "/sign-in"))
        .catch(() => location.assign("/sign-in"));
    }
  });

  // --- Theme -------------------------------------------------------------------------------------------------
  function dark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function themed() {
    const button = find("theme-switch");
    if (button) { button.textContent = dark() ? "Light" : "Dark"; }
  }
  new MutationObserver((_, observer) => {
    if (find("theme-switch")) { themed(); observer.disconnect(); }
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
