const form = document.getElementById("try"), field = form.elements;
const state = document.getElementById("state"), found = document.getElementById("found");
let models = [];

function say(text, bad) {
  state.textContent = text;
  state.classList.toggle("bad", Boolean(bad));
}

async function ask(path, options = {}) {
  const headers = {...options.headers};
  if (field.token) headers.Authorization = `Bearer ${field.token.value}`;
  const answer = await fetch(path, {...options, headers});
  if (answer.ok) return answer;
  const {error, more = []} = await answer.json().catch(() => ({error: `${answer.status} ${answer.statusText}`}));
  throw new Error([error, ...more].join("\n"));
}

function fill(select, names) {
  select.replaceChildren(...names.map((name) => new Option(name, name)));
}

function datasets() {
  return models.find((one) => one.name === field.model.value)?.datasets ?? {};
}

function numTexts() {
  return datasets()[field.dataset.value]?.num_texts ?? 1;
}

function choose() {
  fill(field.dataset, Object.keys(datasets()));
  explain();
}

function explain() {
  const number = numTexts();
  const form = number > 1 ? `Each line has ${number} texts, with a tab or ||| between them. ` : "";
  document.getElementById("help").textContent = `${form}Ctrl+Enter predicts.`;
}

// The inputs of a request: texts, or rows of words or texts.
function inputs(lines) {
  if (numTexts() > 1) return {sentences: lines.map((line) => line.split(/\t|\s\|\|\|\s/))};
  return field.split.checked ? {sentences: lines.map((line) => line.trim().split(/\s+/))} : {texts: lines};
}

async function load() {
  models = (await (await ask("models")).json()).models;
  fill(field.model, models.map((model) => model.name));
  choose();
}

async function predict() {
  if (!models.length) await load();
  const lines = field.text.value.split("\n").filter((line) => line.trim());
  const body = {model: field.model.value, dataset: field.dataset.value, ...inputs(lines)};
  const headers = {"Content-Type": "application/json", Accept: "text/html"};
  const start = performance.now();
  const answer = await (await ask("predict", {method: "POST", headers, body: JSON.stringify(body)})).text();
  // The server escapes texts and labels.
  found.innerHTML = answer;
  const seconds = ((performance.now() - start) / 1000).toFixed(2);
  say(`${lines.length} ${lines.length === 1 ? "sentence" : "sentences"} in ${seconds} s`);
}

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    say(error.message, true);
  }
}

field.model.addEventListener("change", choose);
field.dataset.addEventListener("change", explain);
if (field.token) field.token.addEventListener("change", () => attempt(load));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  say("predicting …");
  attempt(predict);
});
field.text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
if (!field.token) attempt(load);
