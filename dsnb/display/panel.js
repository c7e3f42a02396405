// The page's side of a turn. The kernel sends what is new, with its place in the text; all of it is shown as text,
// never as markup. The clocks tick here, so that a long silence costs no traffic.

const DOING = { asking: "asking", queued: "in the queue", thinking: "thinking", answering: "answering" };
const LOST = " […] "; // stands where text is missing until the kernel has sent the whole again
const TICK = 250; // ms: shows each second within a quarter of it
const LINE = 300; // characters of the reasoning that its folded line can show on the widest screen

// anywidget gives initialize and render different proxies of one model, so the turn is shared by this closure.
export default () => {
  let turn;
  return {
    initialize({ model }) {
      turn = new Turn(model.get("turn"), () => model.send("whole"));
      model.on("msg:custom", (batch) => turn.take(batch));
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
  constructor(state, ask) {
    this.ask = ask;
    this.panes = new Set();
    this.began = Infinity;
    this.read(state);
    this.announced = new Set([this.phase]);
  }

  read(state) {
    this.model = state.model;
    this.detail = state.detail;
    this.reasoning = new Passage(state.reasoning);
    this.answer = new Passage(state.answer);
    this.calls = state.calls.map(([name, text]) => new Passage(text, name));
    this.notices = state.notices;
    this.first = state.first;
    this.tell(state);
  }

  // The kernel's clock and ours differ, and no message arrives before it was sent: the least difference is the truest.
  tell({ at, tokens, phase, end }) {
    this.began = Math.min(this.began, now() - at);
    this.at = at;
    this.tokens = tokens;
    if (tokens) this.first ??= at;
    if (phase) [this.phase, this.since, this.thought] = phase;
    if (end) this.end = end;
  }

  take(batch) {
    if (batch.whole) this.read(batch.whole);
    else this.add(batch);
    for (const pane of this.panes) batch.whole || batch.moved ? pane.redraw() : pane.draw();
    this.announce();
  }

  add(batch) {
    if (batch.moved) this.answer = new Passage();
    this.tell(batch);
    let whole = true;
    if (batch.reasoning) whole = this.reasoning.add(...batch.reasoning) && whole;
    if (batch.answer) whole = this.answer.add(...batch.answer) && whole;
    for (const [place, name, ...piece] of batch.calls ?? []) {
      const call = (this.calls[place] ??= new Passage());
      call.name = name;
      whole = call.add(...piece) && whole;
    }
    this.notices.push(...(batch.notices ?? []));
    if (!whole && !this.asked) {
      this.asked = true;
      this.ask();
    }
  }

  get doing() {
    return this.end?.ending ?? DOING[this.phase] ?? `calling ${this.calls.at(-1)?.name || "a tool"}`;
  }

  // Phases and the end, and no more: nobody could listen to every token.
  announce() {
    if (this.announced.has(this.phase)) return;
    this.announced.add(this.phase);
    announcer().textContent = [this.model, this.doing, this.end?.error].filter(Boolean).join(": ");
  }
}

// A text that grows by pieces that say where they belong: what overlaps is cut, and a gap is marked.
class Passage {
  constructor(text = "", name = "") {
    this.name = name;
    this.pieces = text ? [text] : [];
    this.length = text.length;
  }

  // Return whether nothing is missing before the piece.
  add(offset, text) {
    const missing = offset - this.length;
    if (missing > 0) this.pieces.push(LOST);
    const piece = missing < 0 ? text.slice(-missing) : text;
    if (piece) this.pieces.push(piece);
    this.length = Math.max(this.length, offset + text.length);
    return missing <= 0;
  }
}

// One view of a turn; a notebook may have several. It is built like the static html that will take its place.
class Pane {
  constructor(el, turn) {
    this.turn = turn;
    this.byHand = false; // the reader has folded or unfolded the reasoning, and finds it so
    this.pinned = true; // the reader is at the end of the reasoning, and stays there
    this.root = add(el, "div", "dsnb dsnb-live", { role: "group", "aria-label": `Reply of ${turn.model}` });

    const head = add(this.root, "p", "dsnb-head");
    this.who = add(head, "small");
    this.phase = add(head, "small", "dsnb-phase");

    this.details = add(this.root, "details", "dsnb-reasoning");
    const summary = add(this.details, "summary");
    this.label = add(summary, "span");
    summary.append(" ");
    this.line = add(summary, "i", "", { dir: "auto" });
    this.box = add(this.details, "div", "", { tabindex: "0", role: "region", "aria-label": "Reasoning" });
    this.reasoning = add(this.box, "div", "dsnb-text", { dir: "auto" });

    this.calls = add(this.root, "div");
    this.answer = add(this.root, "div", "dsnb-answer dsnb-text", { dir: "auto" });
    this.error = add(this.root, "p", "dsnb-error", { dir: "auto" });
    this.notices = add(this.root, "div");
    this.figures = add(add(this.root, "p", "dsnb-figures"), "small");

    summary.addEventListener("click", () => (this.byHand = true));
    this.box.addEventListener("scroll", () => (this.pinned = this.box.scrollTop > -8), { passive: true });
    this.timer = setInterval(() => this.tick(), TICK);
    this.redraw();
  }

  close() {
    clearInterval(this.timer);
  }

  redraw() {
    for (const node of [this.reasoning, this.calls, this.answer, this.notices]) node.replaceChildren();
    this.shown = new Map();
    this.draw();
  }

  draw() {
    const { turn, box, details } = this;
    details.hidden = !turn.reasoning.length;
    const height = this.pinned ? 0 : box.scrollHeight; // pinned, the box stays at its end without being asked
    this.grow(this.reasoning, turn.reasoning);
    if (!this.pinned) box.scrollTop += height - box.scrollHeight;
    if (this.line.textContent.length < LINE) say(this.line, firstLine(turn.reasoning.pieces));
    turn.calls.forEach((call, place) => {
      const node = this.calls.children[place] ?? add(this.calls, "pre", "dsnb-call dsnb-text");
      if (!node.firstChild) node.append(document.createElement("b"), document.createElement("code"));
      say(node.firstChild, call.name);
      this.grow(node.lastChild, call);
    });
    this.grow(this.answer, turn.answer);
    for (const notice of turn.notices.slice(this.notices.childElementCount)) {
      add(add(this.notices, "p", "dsnb-note"), "small", "", { dir: "auto" }).append(notice);
    }
    this.enter();
    this.tick();
  }

  // Append what is not shown yet: a text node for each piece, so that only the last lines are laid out anew.
  grow(node, { pieces }) {
    for (let place = this.shown.get(node) ?? 0; place < pieces.length; place++) {
      const text = node.firstChild ? pieces[place] : pieces[place].trimStart();
      if (text) node.append(text);
    }
    this.shown.set(node, pieces.length);
  }

  enter() {
    const { model, detail, phase, thought, end } = this.turn;
    if (phase === this.entered) return;
    this.entered = this.root.dataset.phase = phase;
    this.root.setAttribute("aria-busy", String(!end));
    this.who.replaceChildren();
    add(this.who, "b").append(model);
    for (const word of end?.who ?? [detail]) this.who.append(word && ` · ${word}`);
    const thinking = phase === "thinking";
    say(this.label, thinking || thought < 1 ? "Reasoning" : `Reasoning · ${seconds(thought)}`);
    // a reader who has scrolled up is reading, and keeps the page that he reads
    if (!this.byHand && (thinking || this.pinned)) this.details.open = thinking;
    say(this.error, end?.error ?? "");
    if (end) this.finish(end);
  }

  finish({ figures, share }) {
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
    if (end || !tokens) return;
    const speed = at - first > 0.5 ? ` · ${number(Math.round(tokens / (at - first)))}/s` : "";
    say(this.figures, `${number(tokens)} token${tokens === 1 ? "" : "s"}${speed}`);
  }
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

// One live region for the page: a panel is gone before its end could be read from it.
function announcer() {
  return (
    document.querySelector(".dsnb-announcer") ??
    add(document.body, "div", "dsnb-announcer", { role: "status", "aria-live": "polite" })
  );
}

function firstLine(pieces) {
  let text = "";
  for (const piece of pieces) {
    text = (text + piece).trimStart();
    if (text.length >= LINE || text.includes("\n")) break;
  }
  return text.split("\n", 1)[0].slice(0, LINE);
}

const now = () => performance.now() / 1000;

const number = (value) => value.toLocaleString("en");

const seconds = (value) =>
  value < 120 ? `${Math.floor(value)} s` : `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
