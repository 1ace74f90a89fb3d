// The viewer: a person's notifications, live over /ws. The protocol is in docs/ and the contract.
"use strict";

const $ = (id) => document.getElementById(id);
const texts = JSON.parse($("viewer").dataset.texts);
const language = document.documentElement.lang;
const written = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

const TOKEN_KEY = "cinema-token";
const FRAMES_SHOWN = 200;
const LIST_SHOWN = 1000;
// A proxy that dropped the connection is noticed by a ping without an answer.
const PING_MS = 25_000;
const PONG_MS = 10_000;
const RETRY_MS = [500, 30_000];
// Ids in one frame: the server closes on frames over 4 kB.
const READ_AT_ONCE = 200;

let socket = null;
let attempt = 0;
let retryTimer = 0;
let pingTimer = 0;
let pongTimer = 0;
let lastId = 0;
let unread = 0;
const entries = new Map();

// -- the token: from the address or the form, kept in this tab alone

function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) {
    sessionStorage.setItem(TOKEN_KEY, found);
    // Out of the address bar, the history and screenshots.
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(TOKEN_KEY);
}

function askForToken(message) {
  sessionStorage.removeItem(TOKEN_KEY);
  forget();
  $("inbox").hidden = true;
  $("door").hidden = false;
  $("door-wrong").hidden = !message;
  $("door-wrong").textContent = message ?? "";
  $("token").value = "";
  $("token").focus();
}

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = $("token").value.trim();
  if (token) {
    sessionStorage.setItem(TOKEN_KEY, token);
    connect();
  }
});

$("leave").addEventListener("click", () => {
  disconnect();
  show("off");
  askForToken();
});

// -- the connection

function show(state) {
  $("state").dataset.state = state;
  $("state-text").textContent = texts[state];
}

function connect() {
  const token = takeToken();
  if (!token) {
    askForToken();
    return;
  }
  disconnect();
  $("door").hidden = true;
  $("inbox").hidden = false;
  show("connecting");
  const address = new URL("/ws", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const opened = new WebSocket(address);
  socket = opened;
  opened.addEventListener("open", () => {
    const first = lastId ? { token, last_id: lastId } : { token };
    opened.send(JSON.stringify(first));
    log("→", { ...first, token: "…" });
  });
  opened.addEventListener("message", (event) => {
    if (socket === opened) {
      receive(event.data);
    }
  });
  opened.addEventListener("close", (event) => {
    if (socket === opened) {
      closed(event.code);
    }
  });
}

function disconnect() {
  clearTimeout(retryTimer);
  clearTimeout(pingTimer);
  clearTimeout(pongTimer);
  const old = socket;
  socket = null;
  old?.close();
}

function closed(code) {
  log("×", { close: code });
  disconnect();
  if (code === 4401) {
    show("off");
    askForToken(texts.refused);
  } else if (code === 4429) {
    // Coming back at once would push out the tab that has just come.
    show("paused");
  } else {
    show("waiting");
    // Jitter: thousands of pages must not come back to a new worker in the same instant.
    const delay = Math.min(RETRY_MS[0] * 2 ** attempt, RETRY_MS[1]) * (0.5 + Math.random());
    attempt += 1;
    retryTimer = setTimeout(connect, delay);
  }
}

function comeBack() {
  const state = $("state").dataset.state;
  if (state === "waiting" || (state === "paused" && document.visibilityState === "visible")) {
    attempt = 0;
    connect();
  }
}

addEventListener("online", comeBack);
addEventListener("hashchange", () => {
  if (location.hash.includes("token=")) {
    forget();
    connect();
  }
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") {
    comeBack();
  }
});

function alive() {
  clearTimeout(pingTimer);
  clearTimeout(pongTimer);
  pingTimer = setTimeout(() => {
    send({ type: "ping" });
    pongTimer = setTimeout(() => closed(4000), PONG_MS);
  }, PING_MS);
}

function send(frame) {
  if (socket?.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify(frame));
    log("→", frame);
  }
}

// -- what comes in

const receivers = {
  hello(frame) {
    attempt = 0;
    show("on");
    count(frame.unread);
    settle(frame.unread_ids);
  },
  notification(frame) {
    lastId = Math.max(lastId, frame.id);
    add(frame);
  },
  unread(frame) {
    count(frame.count);
    frame.read.forEach(markRead);
    settle(frame.unread_ids);
  },
  gap() {
    $("note").textContent = texts.gap;
    $("note").hidden = false;
  },
  pong() {},
  error() {},
};

function receive(data) {
  alive();
  const frame = JSON.parse(data);
  log("←", frame);
  receivers[frame.type]?.(frame);
}

// -- the page

function count(number) {
  unread = number;
  $("count").textContent = number > 99 ? "99+" : String(number);
  $("count").hidden = number === 0;
  $("bell").setAttribute(
    "aria-label",
    number ? texts.bell.replace("{count}", number) : texts.bell_none,
  );
  const title = document.title.replace(/^\(\d+\) /, "");
  document.title = number ? `(${number}) ${title}` : title;
  $("all").disabled = number === 0;
}

function add(entry) {
  if (entries.has(entry.id)) {
    return;
  }
  const item = $("entry").content.firstElementChild.cloneNode(true);
  item.id = `entry-${entry.id}`;
  item.classList.toggle("unread", !entry.read);
  item.querySelector(".kind").textContent = texts.kinds[entry.kind] ?? entry.kind;
  const time = item.querySelector("time");
  time.dateTime = entry.created_at;
  time.textContent = written.format(new Date(entry.created_at));
  item.querySelector("h2").textContent = entry.title;
  item.querySelector("h2").hidden = !entry.title;
  item.querySelector(".entry-body").textContent = entry.body;
  const link = item.querySelector("a");
  const url = safe(entry.url);
  link.hidden = !url;
  if (url) {
    link.href = url;
    link.addEventListener("click", () => read([entry.id]));
  }
  const mark = item.querySelector(".mark");
  mark.hidden = entry.read;
  mark.addEventListener("click", () => read([entry.id]));
  // Newest first.
  $("list").prepend(item);
  entries.set(entry.id, { item, read: entry.read });
  $("empty").hidden = true;
  if (entries.size > LIST_SHOWN) {
    const [oldest, { item: old }] = entries.entries().next().value;
    old.remove();
    entries.delete(oldest);
  }
}

/** A link leads to a web page or nowhere. */
function safe(url) {
  try {
    const parsed = new URL(url);
    return ["http:", "https:"].includes(parsed.protocol) ? parsed.href : null;
  } catch {
    return null;
  }
}

function read(ids) {
  for (let start = 0; start < ids.length; start += READ_AT_ONCE) {
    send({ type: "read", ids: ids.slice(start, start + READ_AT_ONCE) });
  }
}

function markRead(id) {
  const entry = entries.get(id);
  if (entry && !entry.read) {
    entry.read = true;
    const mark = entry.item.querySelector(".mark");
    const focused = document.activeElement === mark;
    mark.hidden = true;
    entry.item.classList.remove("unread");
    if (focused) {
      // Else the keyboard's place would be lost with the button.
      ($("list").querySelector(".mark:not([hidden])") ?? $("heading")).focus();
    }
  }
}

/** What was read in another tab while this page could not hear of it. */
function settle(unreadIds) {
  if (unreadIds) {
    const left = new Set(unreadIds);
    [...entries.keys()].filter((id) => !left.has(id)).forEach(markRead);
  }
}

function forget() {
  entries.clear();
  $("list").replaceChildren();
  $("empty").hidden = false;
  $("note").hidden = true;
  lastId = 0;
  count(0);
}

$("all").addEventListener("click", () => {
  read([...entries].filter(([, entry]) => !entry.read).map(([id]) => id));
});

$("bell").addEventListener("click", () => {
  const first = $("list").querySelector(".entry.unread .mark");
  (first ?? $("list")).focus();
  (first?.closest(".entry") ?? $("list")).scrollIntoView({ block: "nearest" });
});

function log(direction, frame) {
  const shown = $("frames");
  const line = document.createElement("div");
  line.textContent = `${direction} ${JSON.stringify(frame)}`;
  shown.prepend(line);
  while (shown.childElementCount > FRAMES_SHOWN) {
    shown.lastElementChild.remove();
  }
}

connect();
