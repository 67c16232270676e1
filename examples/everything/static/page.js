// Asks for new events twice a second and puts each where it belongs: on its card, on the chip of
// its process, and into the list of the latest. No library, no build step.

const POLL_MS = 500, STRIP_S = 60, FEED = 60;
const REPEATING = new Set(["timer", "mstimer", "rbtimer", "mule", "muleloop", "thread", "spoolforever"]);
const KINDS = ["worker", "mule", "spooler", "gateway"];

const root = document.documentElement;
const feed = document.getElementById("feed");
const chips = document.getElementById("processes");
const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
let last = 0, began = 0, now = 0;

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function ago(at) {
  const seconds = Math.max(0, Math.round(now - at));
  if (seconds < 2) return "now";
  return seconds < 90 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
}

function clock(at) {
  return new Date(at * 1000).toLocaleTimeString("en-GB");
}

const rank = (kind, number) => KINDS.indexOf(kind) * 1000 + number;
const badge = (event) => make("span", `who ${event.kind}`, `${event.kind} ${event.number}`);

function flash(element) {
  if (!isCalm.matches) element.animate({ opacity: [0.3, 1] }, { duration: 700, easing: "ease-out" });
}

// -- the chips: who lives, and who just did something -------------------------------------------

function showProcess(event) {
  const id = `${event.kind}-${event.number}`;
  const chip = document.getElementById(id) ?? addChip(id, event);
  const pid = chip.querySelector(".pid");
  if (pid.textContent && pid.textContent !== String(event.pid)) chip.classList.add("replaced");
  pid.textContent = event.pid;
  flash(chip.querySelector(".dot"));
}

function addChip(id, event) {
  const chip = make("li", `chip ${event.kind}`);
  chip.id = id;
  chip.append(make("span", "dot"), make("span", "name", `${event.kind} ${event.number}`), make("span", "pid"));
  chip.dataset.rank = rank(event.kind, event.number);
  const next = [...chips.children].find((one) => one.dataset.rank - chip.dataset.rank > 0);
  chips.insertBefore(chip, next ?? null);
  return chip;
}

// -- the cards: how often, the last minute, and what it said last --------------------------------

function showOnCard(event) {
  const card = document.getElementById(event.decorator);
  card.querySelector(".count").textContent = `${event.nth}×`;
  const time = make("time", "", ago(event.at));
  time.dataset.at = event.at;
  card.querySelector(".last").replaceChildren(badge(event), make("span", "what", event.what), time);
  addMark(card.querySelector(".strip"), event);
}

// A strip has a lane for each process that ever called the function.
function addMark(strip, event) {
  const mark = make("i", event.kind);
  mark.dataset.at = event.at;
  mark.dataset.lane = rank(event.kind, event.number);
  mark.style.setProperty("--at", event.at - began);
  mark.style.setProperty("--seconds", event.seconds);
  strip.append(mark);
  const lanes = new Set(strip.dataset.lanes?.split(" ")).add(mark.dataset.lane);
  const sorted = [...lanes].sort((a, b) => a - b);
  strip.dataset.lanes = sorted.join(" ");
  strip.style.setProperty("--lanes", sorted.length);
  for (const one of strip.children) one.style.setProperty("--lane", sorted.indexOf(one.dataset.lane));
}

function age() {
  root.style.setProperty("--now", now - began);
  for (const mark of document.querySelectorAll(".strip i"))
    if (now - mark.dataset.at > STRIP_S + 2) mark.remove();
  for (const time of document.querySelectorAll("time[data-at]")) time.textContent = ago(time.dataset.at);
}

// -- the list of the latest ----------------------------------------------------------------------

function showInFeed(event) {
  const entry = make("li", REPEATING.has(event.decorator) ? "repeating" : "");
  entry.append(make("time", "", clock(event.at)), badge(event), make("code", "", `@${event.decorator}`), make("span", "what", event.what));
  feed.prepend(entry);
  for (const kind of ["li.repeating", "li:not(.repeating)"])
    for (const old of [...feed.querySelectorAll(kind)].slice(FEED)) old.remove();
}

// -- asking ---------------------------------------------------------------------------------------

function show(answer) {
  now = answer.now;
  began ||= now;
  for (const event of answer.events) {
    last = event.id;
    showProcess(event);
    showOnCard(event);
    showInFeed(event);
  }
  age();
}

async function poll() {
  try {
    const answer = await fetch(`events/${last}`);
    if (answer.ok) show(await answer.json());
    root.classList.toggle("silent", !answer.ok);
  } catch {
    root.classList.add("silent"); // the server is away; it is asked again
  }
  setTimeout(poll, POLL_MS);
}

async function press(button) {
  const card = button.closest(".card");
  const words = card.querySelector(".answer");
  button.disabled = true;
  try {
    const answer = await fetch(`do/${card.id}/${button.textContent}`, { method: "POST" });
    words.textContent = answer.ok ? (await answer.json()).answer : `The server says ${answer.status}.`;
  } catch {
    words.textContent = "The server does not answer.";
  }
  button.disabled = false;
}

for (const button of document.querySelectorAll(".buttons button"))
  button.addEventListener("click", () => press(button));
document.getElementById("repeating").addEventListener("change", (event) =>
  feed.classList.toggle("all", event.target.checked));
poll();
