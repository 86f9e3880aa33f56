const form = document.getElementById("filters");
if (form) {
  const PAGE = 25, ANY = "";
  const field = form.elements, list = document.getElementById("list"), more = document.getElementById("more");
  const articles = [...list.querySelectorAll("article")].map((element) => ({
    element,
    run: element.dataset.run,
    task: element.dataset.task,
    words: Number(element.dataset.words),
    errors: Number(element.dataset.errors),
    label: JSON.parse(element.dataset.labels),
    confusion: JSON.parse(element.dataset.confusions),
    text: element.textContent.toLowerCase(),
  }));
  let shown = PAGE;

  // Choices are those of the sentences of the chosen run and task, the most frequent first.
  function fill(select, any, values) {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    const kept = select.value;
    const sorted = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 300);
    select.replaceChildren(new Option(any, ANY), ...sorted.map(([value, count]) => new Option(`${value} (${count})`, value)));
    select.value = counts.has(kept) ? kept : ANY;
  }

  const isChosen = (name, value) => !field[name] || !field[name].value || field[name].value === value;
  // "NOUN → VERB" also finds "NOUN → VERB (other head)".
  const isConfused = (found, wanted) => found === wanted || found.startsWith(`${wanted} (`);

  function choices() {
    if (field.run) fill(field.run, "all", articles.map((article) => article.run));
    fill(field.task, "all", articles.filter((article) => isChosen("run", article.run)).map((article) => article.task));
    const chosen = articles.filter((article) => isChosen("run", article.run) && isChosen("task", article.task));
    fill(field.label, "any", chosen.flatMap((article) => article.label));
    fill(field.confusion, "any", chosen.flatMap((article) => article.confusion));
  }

  function filter() {
    const label = field.label.value, confusion = field.confusion.value, text = field.text.value.trim().toLowerCase();
    const least = Number(field.least.value || 0), most = Number(field.most.value || Infinity);
    let found = 0;
    for (const article of articles) {
      const fits = isChosen("run", article.run) && isChosen("task", article.task)
        && (!label || article.label.includes(label))
        && (!confusion || article.confusion.some((one) => isConfused(one, confusion)))
        && (!field.wrong.checked || article.errors > 0)
        && article.words >= least && article.words <= most
        && (!text || article.text.includes(text));
      found += fits;
      article.element.hidden = !fits || found > shown;
    }
    list.classList.toggle("all", field.all.checked);
    more.hidden = found <= shown;
    document.getElementById("found").textContent = `${found} of ${articles.length} sentences${found > shown ? `, ${shown} shown` : ""}`;
  }

  function update() {
    shown = PAGE;
    choices();
    filter();
  }

  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update));
  more.addEventListener("click", () => {
    shown += PAGE;
    filter();
  });
  // A number in a confusion matrix.
  for (const link of document.querySelectorAll("a[data-confusion]")) {
    link.addEventListener("click", () => {
      for (const name of ["label", "text", "least", "most"]) field[name].value = "";
      if (field.run) field.run.value = link.dataset.run;
      choices();
      field.task.value = link.dataset.task;
      choices();
      const wanted = link.dataset.confusion;
      if (![...field.confusion.options].some((option) => option.value === wanted)) {
        field.confusion.add(new Option(wanted, wanted));
      }
      field.confusion.value = wanted;
      shown = PAGE;
      filter();
    });
  }
  // Paper shows what is chosen, all pages of it.
  addEventListener("beforeprint", () => {
    shown = Infinity;
    filter();
  });
  update();
}
