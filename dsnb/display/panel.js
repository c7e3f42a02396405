// The page's side of a turn. The kernel sends what is new, with its place in the text, and all of that is shown as text.
// What it has read of them follows as html, made and sanitised by the kernel as in the static bundle, and takes the
// text's place. The clocks tick here, so that a long silence costs no traffic.

const DOING = { asking: "asking", queued: "in the queue", waiting: "waiting", thinking: "thinking", answering: "answering" };
const LOST = "…"; // stands where text is missing until the kernel has sent the whole again
const TICK = 250; // ms: shows each second within a quarter of it
const LINE = 300; // characters of the reasoning that its folded line can show on the widest screen
const PORTION = 24; // blocks that are styled and laid out together: about two screens
const BEGINS = /^<(p|h\d)[ >]/; // with which the next begins: their margins are known in portions.css
const LINES = 4000; // characters of text, up to the end of their line, that are laid out together: about a screen
const ENDLESS = 8000; // characters of a line that are too many to lay out with each word: it is broken where it may be
const BREAK = /[\s\u3000-\u303f\uff00-\uffef]/g; // spaces, and the punctuation of languages that have none
const PATIENCE = 1500; // ms: a turn that can be stopped has stopped by then
const GONE = new Set(["autorestarting", "restarting", "terminating", "dead"]); // what becomes of kernels
const MARKS = /^[\s#>*_`-]+/; // of Markdown, before a first line
const BLOCKS = new Set("ul ol li blockquote p pre h3 h4 h5 h6 table thead tbody tr th td".split(" "));

// anywidget gives initialize and render different proxies of one model, so the turn is shared by this closure.
export default () => {
  let turn;
  return {
    initialize({ model }) {
      turn = new Turn(model.get("turn"), model);
      model.on("msg:custom", (batch) => turn.take(batch));
      model.send("here");
      model.widget_manager?.kernel?.statusChanged?.connect((_, status) => GONE.has(status) && turn.lose());
    },
    render({ el }) {
      const pane = new Pane(el, turn);
      turn.panes.add(pane);
      return () => {
        turn.panes.delete(pane);
        pane.close();
      };
    },
  };
};

// What a turn has said so far, whichever way it came here.
class Turn {
  constructor(state, wire) {
    this.wire = wire;
    this.panes = new Set();
    this.began = Infinity;
    this.read(state);
    this.announced = new Set([this.phase]);
  }

  // The state is one batch that tells everything.
  read(state) {
    this.model = state.model;
    this.detail = state.detail;
    this.question = state.question; // of a conversation, as html
    this.stoppable = state.stoppable;
    this.word = state.word;
    this.first = state.first;
    this.rounds = [];
    this.notices = [];
    this.asked = false;
    this.add(state);
  }

  take(batch) {
    if (batch.hears) return void (this.hears = true);
    if (batch.whole) this.read(batch.whole);
    else this.add(batch);
    this.draw();
    this.announce();
  }

  draw() {
    for (const pane of this.panes) pane.draw();
  }

  // The kernel's clock and ours differ, and no message arrives before it was sent: the least difference is the truest.
  add({ at, tokens, phase, kept = Infinity, rounds = [], notices = [], end }) {
    this.began = Math.min(this.began, now() - at);
    this.at = at;
    this.tokens = tokens;
    if (tokens) this.first ??= at;
    if (phase) [this.phase, this.since] = phase;
    if (end) this.end = end;
    this.notices.push(...notices);
    this.rounds.splice(kept); // they are void, and will be told again
    const whole = rounds.map(([place, news]) => reach(this.rounds, place, Round).add(news)).every(Boolean);
    if (!whole && !this.asked) {
      this.asked = true;
      this.wire.send("whole");
    }
  }

  // A kernel that hears us while it works is told. One that does not is interrupted, as the notebook's own button
  // does it; the word that comes before says whose interrupt it is.
  stop() {
    this.stopping = true;
    const kernel = this.wire.widget_manager?.kernel;
    if (this.hears || !kernel?.interrupt) this.wire.send("stop");
    else {
      kernel.sendInputReply?.({ status: "ok", value: this.word }, {});
      kernel.interrupt().then(() => this.wire.send("stop")); // which wakes an event loop that waits for the network
    }
    setTimeout(() => {
      this.deaf = true;
      this.draw();
    }, PATIENCE);
    this.draw();
    tell(`${this.model}: stopping`);
  }

  // What has come stays, and no more will.
  lose() {
    if (this.end) return;
    const total = seconds(Math.max(0, now() - this.began));
    this.take({ at: this.at, tokens: this.tokens, phase: ["done", 0], end: { ending: "cut off: the kernel is gone", total } });
  }

  // Formulas are set by whatever the page sets them with, and are TeX where that is out of reach.
  async typeset(node) {
    if (!/\\[([]/.test(node.textContent)) return;
    try {
      await this.wire.widget_manager?.rendermime?.latexTypesetter?.typeset(node);
    } catch {}
  }

  get doing() {
    if (this.end) return this.end.ending;
    if (this.deaf) return "the kernel is busy: interrupt it by the notebook's own button";
    if (this.stopping) return "stopping";
    if (this.phase !== "calling") return DOING[this.phase];
    const open = this.rounds.at(-1)?.calls.filter((call) => !call.result) ?? [];
    return `calling ${[...new Set(open.map((call) => call.name))].join(", ") || "a tool"}`;
  }

  // Phases and the end, and no more: nobody could listen to every token.
  announce() {
    if (this.announced.has(this.phase)) return;
    this.announced.add(this.phase);
    tell([this.model, this.doing, this.end?.error].filter(Boolean).join(": "));
  }
}

// What one request of a turn said: it may call tools, and what they say is answered by the next.
class Round {
  constructor() {
    this.reasoning = new Prose();
    this.answer = new Prose();
    this.calls = [];
    this.thought = 0;
  }

  // Return whether nothing is missing.
  add({ moved, thought, reasoning = [], answer = [], read = {}, calls = [], results = [] }) {
    if (moved) this.answer = new Prose();
    this.thought = thought ?? this.thought;
    const whole = [this.reasoning.add(...reasoning), this.answer.add(...answer)];
    for (const [name, html] of Object.entries(read)) this[name].read(html);
    for (const [place, name, ...piece] of calls) {
      const call = reach(this.calls, place, Passage);
      call.name = name;
      whole.push(call.add(...piece));
    }
    for (const [place, result] of results) reach(this.calls, place, Passage).result = result;
    return whole.every(Boolean);
  }
}

// A text that grows by pieces that say where they belong: what overlaps is cut, and a gap is marked.
class Passage {
  constructor() {
    this.pieces = [];
    this.length = 0;
  }

  // Return whether nothing is missing before the piece.
  add(offset = this.length, text = "") {
    const missing = offset - this.length;
    if (missing > 0) this.pieces.push(LOST.padEnd(missing));
    const piece = missing < 0 ? text.slice(-missing) : text;
    if (piece) this.pieces.push(piece);
    this.length = Math.max(this.length, offset + text.length);
    return missing <= 0;
  }

  // Return what stands behind a place.
  after(place) {
    const wanted = this.length - place;
    let text = "";
    for (let at = this.pieces.length; text.length < wanted; ) text = this.pieces[--at] + text;
    return wanted > 0 ? text.slice(-wanted) : "";
  }
}

// A text that is Markdown, as far as the kernel has read it.
class Prose extends Passage {
  constructor() {
    super();
    this.blocks = []; // html of what is finished
    this.covered = 0; // where that ends in the text
    this.draft = null; // where it ends, and html of what comes next
  }

  read({ blocks = [], draft }) {
    for (const [end, html] of blocks) {
      if (end <= this.covered) continue;
      this.blocks.push(html);
      this.covered = end;
      this.draft = null;
    }
    if (draft?.[0] > this.covered) this.draft = draft;
  }
}

// One view of a turn; a notebook may have several. It is built like the static html that will take its place.
class Pane {
  constructor(el, turn) {
    this.turn = turn;
    this.sections = [];
    this.root = add(el, "div", "dsnb dsnb-live jp-RenderedHTMLCommon", {
      role: "group",
      "aria-label": `Reply of ${turn.model}`,
      "data-lm-suppress-shortcuts": "true", // keys are the reader's here, not JupyterLab's
    });
    const head = add(this.root, "p", "dsnb-head");
    this.who = add(head, "small");
    const right = add(head, "span", "dsnb-now");
    this.phase = add(right, "small", "dsnb-phase");
    this.stop = add(right, "button", "dsnb-button", { type: "button" });
    this.stop.append("Stop");
    this.stop.addEventListener("click", () => turn.stop());
    const question = add(this.root, "div");
    question.innerHTML = turn.question;
    turn.typeset(question);
    this.rounds = add(this.root, "div");
    this.error = add(this.root, "p", "dsnb-error", { dir: "auto" });
    this.notices = add(this.root, "div", "dsnb-notices");
    this.figures = add(add(this.root, "p", "dsnb-figures"), "small");
    this.timer = setInterval(() => this.tick(), TICK);
    this.draw();
  }

  close() {
    clearInterval(this.timer);
  }

  draw() {
    const { rounds, notices, end } = this.turn;
    const gone = this.sections.findIndex((section, place) => section.round !== rounds[place]);
    if (gone >= 0) for (const section of this.sections.splice(gone)) section.root.remove();
    rounds.forEach((round, place) => (this.sections[place] ??= new Section(this.rounds, round, this.turn)).draw());
    for (const notice of [...notices, ...(end?.notes ?? [])].slice(this.notices.childElementCount)) {
      add(add(this.notices, "p", "dsnb-note"), "small", "", { dir: "auto" }).append(notice);
    }
    this.enter();
    this.tick();
  }

  enter() {
    const { model, detail, phase, end, stoppable, stopping } = this.turn;
    this.stop.hidden = end || !stoppable;
    this.stop.disabled = stopping;
    const last = this.sections.at(-1);
    if (phase === this.entered && last === this.last) return;
    this.last = last;
    this.entered = this.root.dataset.phase = phase;
    this.root.setAttribute("aria-busy", String(!end));
    this.who.replaceChildren();
    add(this.who, "b").append(model);
    for (const word of end?.who ?? [detail]) this.who.append(word && ` · ${word}`);
    for (const section of this.sections) section.fold(section === last && phase === "thinking");
    say(this.error, end?.error ?? "");
    if (end) this.finish(end);
  }

  finish({ figures = [], share }) {
    this.figures.replaceChildren();
    for (const [name, value] of figures) {
      this.figures.append(this.figures.firstChild ? " · " : "", `${name} `);
      add(this.figures, "b").append(value);
      if (name !== "cached" || !share) continue;
      this.figures.append(" ");
      add(this.figures, "span", "dsnb-bar", { "aria-hidden": "true" }).style.backgroundSize = `${100 * share}% 100%`;
    }
  }

  tick() {
    const { doing, end, since, began, at, first, tokens } = this.turn;
    say(this.phase, `${doing} · ${end ? end.total : seconds(Math.max(0, now() - began - since))}`);
    if (end?.figures || !tokens) return;
    const speed = at - first > 0.5 ? ` · ${number(Math.round(tokens / (at - first)))}/s` : "";
    say(this.figures, `${number(tokens)} token${tokens === 1 ? "" : "s"}${speed} · first token ${first.toFixed(2)} s`);
  }
}

// One round of a turn, as a pane shows it.
class Section {
  constructor(parent, round, turn) {
    this.round = round;
    this.turn = turn;
    this.byHand = false; // the reader has folded or unfolded the reasoning, and finds it so
    this.pinned = true; // the reader is at the end of the reasoning, and stays there
    this.arguments = []; // of each call, as they are written
    this.root = add(parent, "div", "dsnb-round");

    this.details = add(this.root, "details", "dsnb-reasoning");
    const summary = add(this.details, "summary");
    this.label = add(summary, "span");
    summary.append(" ");
    this.line = add(summary, "i", "", { dir: "auto" });
    this.box = add(this.details, "div", "", { tabindex: "0", role: "region", "aria-label": "Reasoning" });
    this.reasoning = new Column(add(this.box, "div"), turn);

    this.answer = new Column(add(this.root, "div", "dsnb-answer"), turn);
    this.calls = add(this.root, "div");

    summary.addEventListener("click", () => (this.byHand = true));
    this.box.addEventListener("scroll", () => (this.pinned = this.box.scrollTop > -8), { passive: true });
  }

  draw() {
    const { round, box, details } = this;
    details.hidden = !round.reasoning.length;
    this.pinned ||= box.scrollTop > -8;
    const height = this.pinned ? 0 : box.scrollHeight; // pinned, the box stays at its end without being asked
    this.reasoning.draw(round.reasoning);
    if (!this.pinned) box.scrollTop += height - box.scrollHeight;
    if (this.line.textContent.length < LINE) say(this.line, firstLine(round.reasoning.pieces));
    this.answer.root.hidden = !round.answer.length;
    this.answer.draw(round.answer);
    round.calls.forEach((call, place) => this.call(call, place));
  }

  // A call is written in sight; what came of it stands behind one line.
  call(call, place) {
    let node = this.calls.children[place];
    if (node?.localName === "details") return;
    if (call.result) return node ? node.replaceWith(outcome(call.result)) : this.calls.append(outcome(call.result));
    node ??= add(this.calls, "pre", "dsnb-call dsnb-text");
    if (!node.firstChild) add(node, "b");
    say(node.firstChild, call.name);
    const lines = (this.arguments[place] ??= new Lines(add(node, "code")));
    lines.append(call.after(lines.length));
  }

  fold(thinking) {
    const { thought } = this.round;
    say(this.label, thinking || thought < 1 ? "Reasoning" : `Reasoning · ${seconds(thought)}`);
    // who has scrolled up, or is in there with the keyboard, is reading, and keeps the page that he reads
    const reading = this.byHand || !this.pinned || document.activeElement === this.box;
    if (thinking ? !this.byHand : !reading) this.details.open = thinking;
  }
}

// A text that grows, as Markdown: finished blocks stay as they are, behind them stands the draft, and text goes on where
// that ends. In portions, so that what comes costs no more the longer the text is; portions.css draws those in sight.
class Column {
  constructor(root, turn) {
    this.root = root;
    this.turn = turn;
    this.draft = document.createElement("div");
    this.draft.className = "dsnb-draft";
  }

  draw(prose) {
    const { blocks, draft, covered } = prose;
    if (prose !== this.prose) {
      this.root.replaceChildren(); // its text has moved
      this.prose = prose;
      this.written = 0;
      this.text = null;
      this.open();
    }
    if (this.written < blocks.length || draft !== this.drafted || !this.text) {
      for (; this.written < blocks.length; this.written++) this.finish(blocks[this.written]);
      this.set();
      this.drafted = draft;
      this.draft.innerHTML = draft ? draft[1] : "";
      const root = innermost(this.draft);
      this.text = new Lines(root, add(root, draft ? "span" : "div", "dsnb-text", { dir: "auto" }));
      this.place = draft ? draft[0] : covered;
    }
    const text = prose.after(this.place);
    this.text.append(draft || this.text.length ? text : text.trimStart());
    this.place = prose.length;
    if (!draft && !this.text.length) this.draft.remove(); // nothing of it is last then
    else if (this.draft.parentNode !== this.portion) this.portion.append(this.draft);
  }

  open() {
    this.portion = add(this.root, "div", "dsnb-portion");
    this.held = 0;
    this.html = ""; // that is to be set in it
  }

  finish(html) {
    if (this.held >= PORTION && BEGINS.test(html)) {
      this.set();
      this.open();
    }
    this.html += html;
    this.held++;
  }

  set() {
    if (!this.html) return;
    const box = document.createElement("div");
    box.innerHTML = this.html;
    this.html = "";
    for (const pre of box.querySelectorAll("pre")) copyable(pre);
    const nodes = [...box.children];
    this.draft.remove();
    this.portion.append(...nodes);
    for (const node of nodes) this.turn.typeset(node);
  }
}

// Text that grows: behind what is first, in portions of whole lines, of which only the last is laid out anew.
class Lines {
  constructor(root, first = root) {
    this.root = root;
    this.last = first;
    this.length = this.held = 0;
  }

  append(text) {
    this.length += text.length;
    for (let end; (end = this.end(text)); text = text.slice(end)) {
      this.last.append(text.slice(0, end));
      this.last = add(this.root, "div", "dsnb-text dsnb-lines", { dir: "auto" });
      this.held = 0;
    }
    if (text) this.last.append(text);
    this.held += text.length;
  }

  // Return where in a text the portion ends, 0 where it goes on.
  end(text) {
    BREAK.lastIndex = Math.max(0, ENDLESS - this.held);
    const places = [text.indexOf("\n", LINES - this.held), BREAK.exec(text)?.index ?? -1].filter((place) => place >= 0);
    return places.length && 1 + Math.min(...places);
  }
}

// A call that has ended, folded behind its line.
function outcome({ call, failed, gist, body }) {
  const details = document.createElement("details");
  details.className = "dsnb-call";
  const summary = add(details, "summary");
  add(summary, "code").append(call);
  if (failed) {
    summary.append(" ");
    add(summary, "em").append("failed");
  }
  summary.append(gist);
  const box = add(details, "div");
  for (const [name, text] of body) {
    add(add(box, "p"), "small").append(name);
    add(add(box, "pre"), "code").append(text);
  }
  return details;
}

// Give a piece of code a button that copies it.
function copyable(pre) {
  const box = document.createElement("div");
  box.className = "dsnb-code";
  pre.replaceWith(box);
  box.append(pre);
  const button = add(box, "button", "dsnb-button", { type: "button" });
  button.append("Copy");
  button.addEventListener("click", async () => {
    const done = await copied(pre);
    say(button, done ? "Copied" : "Press Ctrl+C");
    tell(done ? "Code copied" : "Code selected");
    setTimeout(() => say(button, "Copy"), 2000);
  });
}

// Pages that came over plain http have no clipboard: there the code is selected, and copied if that is let.
async function copied(pre) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(pre);
    return document.execCommand("copy");
  }
}

// Return the last block within the last, where text goes on.
function innermost(node) {
  while (BLOCKS.has(node.lastElementChild?.localName)) node = node.lastElementChild;
  return node.localName === "pre" ? node.firstElementChild : node;
}

// Return what stands at a place of a list, which is made long enough.
function reach(list, place, Kind) {
  while (list.length <= place) list.push(new Kind());
  return list[place];
}

function add(parent, tag, className = "", attributes = {}) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent.append(node);
  return node;
}

// Set a text that is mostly the same.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Say something to who listens. One live region for the page: a panel is gone before its end could be read from it.
function tell(words) {
  const region =
    document.querySelector(".dsnb-announcer") ??
    add(document.body, "div", "dsnb-announcer", { role: "status", "aria-live": "polite" });
  region.textContent = words;
}

function firstLine(pieces) {
  let text = "";
  for (const piece of pieces) {
    text = (text + piece).replace(MARKS, "");
    if (text.length >= LINE || text.includes("\n")) break;
  }
  return text.split("\n", 1)[0].slice(0, LINE).replaceAll(/\*\*|`/g, "");
}

const now = () => performance.now() / 1000;

const { format: number } = new Intl.NumberFormat("en");

const seconds = (value) =>
  value < 120 ? `${Math.floor(value)} s` : `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
