// What the pages cannot do with HTML and htmx alone. Without it they still work, except for the file preview.
(() => {
  "use strict";
  const shown = document.documentElement.lang;
  // The reader's own variant: a British reader gets British dates on an English page.
  const language = navigator.languages.find((own) => own.slice(0, 2) === shown.slice(0, 2)) ?? shown;
  const by = (id) => document.getElementById(id);

  // Times in the reader's own time zone.
  const styles = {
    minutes: new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }),
    seconds: new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }),
  };
  const localTimes = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const style = "seconds" in time.dataset ? styles.seconds : styles.minutes;
      const shown = style.format(new Date(time.dateTime));
      if (time.textContent !== shown) time.textContent = shown;
    }
  };

  // Reports an invalid name before a gigabyte is uploaded.
  const checkName = (field) => {
    let fits = true;
    try {
      fits = new RegExp(`^(?:${field.dataset.pattern})$`).test(field.value);
    } catch { /* a pattern that only Python understands: the server checks it */ }
    field.setCustomValidity(fits || !field.value ? "" : field.dataset.wrong);
  };

  const inUnits = (bytes) => {
    const [unit, size] = bytes < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
    return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits: 1 }).format(bytes / size);
  };

  // The chosen file: its name, and the preview that belongs to it.
  const showFile = () => {
    const file = by("file").files[0];
    const label = by("file-name");
    label.dataset.empty ??= label.textContent;
    label.textContent = file ? `${file.name} (${inUnits(file.size)})` : label.dataset.empty;
    document.querySelector(".drop").classList.toggle("chosen", Boolean(file));
    by("file-problem").replaceChildren();
    by("preview").replaceChildren();
    lockButtons();
  };

  // A file can be dropped anywhere on the page.
  const watchDrops = (input) => {
    const over = (shown) => { by("drop-here").hidden = !shown; };
    const hasFile = (event) => event.dataTransfer?.types.includes("Files");
    for (const name of ["dragenter", "dragover"]) {
      document.addEventListener(name, (event) => {
        if (!hasFile(event)) return;
        event.preventDefault();
        event.dataTransfer.dropEffect = creating() ? "none" : "copy";
        over(!creating());
      });
    }
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
    document.addEventListener("drop", (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      over(false);
      if (creating() || !event.dataTransfer.files.length) return;
      const one = new DataTransfer();
      one.items.add(event.dataTransfer.files[0]);
      input.files = one.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    });
  };

  // A file that would be rejected, or of which nothing can be imported, creates no import.
  const lockButtons = () => {
    const refused = document.querySelector("#preview [data-refused]") !== null;
    if (by("locked")) by("locked").hidden = !refused;
    for (const button of document.querySelectorAll("#new .buttons [name=then]")) button.disabled = refused;
  };

  // What the menus of a preview say, as the form field `columns`: our columns by title or by number, null if not used.
  const chosenColumns = (reading, changed) => {
    const withTitles = (by("header")?.value ?? reading.dataset.header) === "titles";
    const menus = [...reading.querySelectorAll("select[data-number]")];
    const columns = Object.fromEntries([...menus[0].options].map(({ value }) => [value, null]).filter(([value]) => value));
    for (const menu of menus) {
      if (menu !== changed && changed.value && menu.value === changed.value) menu.value = "";
      const { name, number } = menu.dataset;
      if (menu.value) columns[menu.value] = withTitles && name ? name : Number(number);
    }
    return JSON.stringify(columns);
  };
  document.addEventListener("htmx:configRequest", (event) => {
    const { elt, parameters, triggeringEvent } = event.detail;
    if (elt.id !== "reading") return;
    const changed = triggeringEvent.target;
    // Read in another way, the file has other titles.
    const columns = ["encoding", "separator", "sheet"].includes(changed.name) ? "" : chosenColumns(elt, changed);
    elt.querySelector("[name=columns]").value = parameters.columns = columns;
  });

  // What is being sent of the form: a preview or the import, how far it is, and a way to stop it.
  let request = null;
  let sender = null;
  let isSent = false;
  const creating = () => sender?.id === "new";
  const sending = (xhr, element) => {
    request = xhr;
    sender = element;
    isSent = false;
    by("sending").hidden = !xhr;
    by("cancel").hidden = false;
    by("sending-what").textContent = xhr ? by("sending-what").dataset.sending : "";
    by("sent-part").textContent = "";
    by("sent").removeAttribute("value");
  };
  const allSent = () => {  // what the server creates from now on is not taken back by closing the connection
    isSent = true;
    by("sending-what").textContent = by("sending-what").dataset.reading;
    by("sent-part").textContent = "";
    by("sent").removeAttribute("value");
    if (!creating()) return;
    if (document.activeElement === by("cancel")) by("main").focus();
    by("cancel").hidden = true;
  };
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.closest("#new")) sending(event.detail.xhr, event.detail.elt);
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.xhr === request) sending(null, null);
    lockButtons();
    const answered = event.detail.xhr.status > 0 && event.detail.xhr.status < 500;
    by("offline").hidden = answered || event.detail.elt.closest("#new, #search") !== null;  // these show the error
  });
  document.addEventListener("htmx:xhr:progress", (event) => {
    const { lengthComputable, loaded, total } = event.detail;
    if (event.target !== sender || isSent || !lengthComputable) return;
    if (loaded >= total) {
      allSent();
      return;
    }
    const part = new Intl.NumberFormat(language, { style: "percent" }).format(Math.floor(100 * loaded / total) / 100);
    by("sent").value = loaded / total;
    by("sent-part").textContent = by("sent-part").dataset.of
      .replace("{done}", part).replace("{sent}", inUnits(loaded)).replace("{size}", inUnits(total));
  });
  document.addEventListener("htmx:sendError", (event) => {
    if (!event.detail.elt.closest("#new")) {
      by("offline").hidden = false;
      return;
    }
    const said = document.createElement("p");
    said.className = "problem";
    said.textContent = by("file-problem").dataset.lost;
    by("file-problem").replaceChildren(said);
    by("file").focus();
  });
  document.addEventListener("click", (event) => {
    if (event.target.id !== "cancel" || !request) return;
    const wasCreating = creating();
    request.abort();
    if (wasCreating) {
      document.querySelector("#new .buttons [name=then]").focus();
      return;
    }
    by("file").value = "";  // or an import would be created from what nobody has seen
    showFile();
    by("file").focus();
  });

  // A preset fills in the limits; without this script its link does.
  const limitFields = () => [...document.querySelectorAll(".limits input")];
  const markPreset = () => {
    for (const preset of document.querySelectorAll("[data-limits]")) {
      const limits = JSON.parse(preset.dataset.limits);
      const given = limitFields().every(({ name, value }) => Number(value) === limits[name]);
      if (given) preset.setAttribute("aria-current", "true");
      else preset.removeAttribute("aria-current");
    }
  };
  document.addEventListener("click", (event) => {
    const preset = event.target.closest("[data-limits]");
    if (!preset || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const limits = JSON.parse(preset.dataset.limits);
    for (const field of limitFields()) field.value = limits[field.name];
    markPreset();
    by("preset-said").textContent = preset.dataset.said;
  });
  document.addEventListener("input", (event) => { if (event.target.closest(".limits")) markPreset(); });

  // A wrong number in a folded part would keep the form from being sent, and be seen by nobody.
  document.addEventListener("invalid", (event) => {
    const folded = event.target.closest("details");
    if (folded) folded.open = true;
  }, true);

  // A limit's line, its slider over the chart, and its field move together; at its end the slider means no limit.
  const watchLimit = (measure) => {
    const slider = measure.querySelector("input[type=range]");
    if (!slider) return;
    const field = measure.querySelector("input[type=number]");
    const line = measure.querySelector("line");
    const beyond = measure.querySelector(".beyond");
    const { unit, none } = measure.dataset;
    const least = measure.dataset.least === "1";
    const top = Number(slider.max);
    const show = () => {
      const limit = Math.max(0, Number(field.value) || 0);
      const edge = limit || least ? Math.min(limit, top) : top;
      slider.value = edge;
      slider.setAttribute("aria-valuetext", limit ? `${limit}${unit}` : none);
      for (const end of ["x1", "x2"]) line.setAttribute(end, edge);
      beyond.setAttribute("x", least ? 0 : edge);
      beyond.setAttribute("width", least ? edge : top - edge);
      measure.classList.toggle("off", !limit);
    };
    slider.addEventListener("input", () => {
      const edge = Number(slider.value);
      field.value = least ? edge : edge === top ? 0 : Math.max(1, edge);
      show();
    });
    field.addEventListener("input", show);
    slider.hidden = false;
    show();
  };

  // A removed button would lose the keyboard focus: move it to where the button was.
  let last = null;
  document.addEventListener("focusin", (event) => { last = event.target; });
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const target = event.detail.target;
    if (last && target.tabIndex === -1 && target.contains(last) && document.activeElement === last) target.dataset.focus = "";
  });
  document.addEventListener("htmx:oobAfterSwap", (event) => {
    const target = event.detail.target;
    if (target && "focus" in target.dataset) {
      delete target.dataset.focus;
      target.focus();
    }
    if (target) localTimes(target);
    showPicked();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    localTimes(document);
    watchName();
    lockButtons();
    showPicked();
    if (event.target.id === "preview" && last?.id === "use-columns" && !last.isConnected) by("column-1")?.focus();
    if (event.target.id !== "fields") return;
    const wrong = document.querySelector("#fields [aria-invalid=true]") || by("file");
    wrong.focus();
  });

  const watchName = () => {
    const name = by("group_name");
    if (!name || name.dataset.watched) return;
    name.dataset.watched = "yes";
    name.addEventListener("input", () => checkName(name));
    checkName(name);
  };

  // What is done with selected rows needs some; a box selects all of a page; links to other pages carry the selection.
  const showPicked = () => {
    const form = by("picked");
    if (!form) return;
    const all = by("pick-all");
    const boxes = [...form.elements].filter(({ name, type }) => name === "row" && type === "checkbox");
    const here = boxes.filter(({ checked }) => checked).length;
    const picked = here + Number(form.dataset.elsewhere);
    all.parentElement.hidden = !boxes.length;
    all.checked = here === boxes.length;
    all.indeterminate = here > 0 && !all.checked;
    for (const button of form.querySelectorAll("button")) button.disabled = !picked;
    const status = form.querySelector("[role=status]");
    const { one, many } = status.dataset;
    const said = picked === 1 ? one : picked ? many.replace("#", new Intl.NumberFormat(language).format(picked)) : "";
    if (status.textContent !== said) status.textContent = said;
    by("pick-none").hidden = !picked;
    for (const way of form.parentElement.querySelectorAll(".pager a, th a")) {
      const address = new URL(way.href);
      address.searchParams.delete("picked");
      for (const row of new FormData(form).getAll("row")) address.searchParams.append("picked", row);
      way.href = address;
    }
  };
  document.addEventListener("click", (event) => {
    if (event.target.id !== "pick-none" || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const { form } = by("pick-all");
    form.dataset.elsewhere = 0;
    form.querySelector("[type=hidden][name=row]")?.remove();
    for (const box of form.elements) box.checked = false;
    showPicked();
    by("pick-all").focus();
  });
  document.addEventListener("change", ({ target }) => {
    if (target.form?.id !== "picked") return;
    if (target.id === "pick-all") for (const box of target.form.elements) box.checked = target.checked;
    showPicked();
  });

  // No form is submitted twice; htmx sees to its own.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const method = event.submitter?.getAttribute("formmethod") ?? form.method;
    if (method !== "post" || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    form.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => {
    showPicked();  // boxes may be restored by going back
    for (const form of document.forms) {
      delete form.dataset.sent;
      form.removeAttribute("aria-busy");
    }
  });

  localTimes(document);
  watchName();
  if (by("file")) {
    by("file").addEventListener("change", showFile);
    showFile();
    watchDrops(by("file"));
    markPreset();  // the browser may have restored what was typed
  }
  document.addEventListener("DOMContentLoaded", () => {  // a file may be chosen before htmx listens
    const file = by("file");
    if (file?.files.length) file.dispatchEvent(new Event("change", { bubbles: true }));
  });
  for (const measure of document.querySelectorAll(".measure")) watchLimit(measure);
  addEventListener("pageshow", () => {  // a limit may be typed before htmx listens, or restored by going back
    for (const field of document.querySelectorAll("#what-if input[type=number]")) {
      if (field.value !== field.defaultValue) field.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });
  if (by("judge")) by("judge").hidden = true;  // still what Enter in a field does
})();
