// Shows the numbers anew every five seconds. Only what differs is touched: where the reader has
// scrolled to, in the page and in its tables, what is selected and what has the focus stay.
"use strict";

const REFRESH_MS = 5_000;

function update(shown, fresh) {
  if (shown.isEqualNode(fresh)) {
    return;
  }
  const alike = shown.nodeName === fresh.nodeName;
  if (alike && shown.nodeType === Node.TEXT_NODE) {
    shown.data = fresh.data;
  } else if (alike && shown.childNodes.length === fresh.childNodes.length && sameTag(shown, fresh)) {
    // A copy of both lists: a fresh node that is put into the page leaves its own.
    const next = [...fresh.childNodes];
    [...shown.childNodes].forEach((child, index) => update(child, next[index]));
  } else if (alike && shown.nodeName === "TBODY") {
    shown.replaceChildren(...fresh.childNodes);
  } else {
    shown.replaceWith(fresh);
  }
}

function sameTag(shown, fresh) {
  return shown.cloneNode(false).isEqualNode(fresh.cloneNode(false));
}

async function refresh() {
  if (document.hidden) {
    return;
  }
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (answer?.ok) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    update(document.querySelector("main"), page.querySelector("main"));
  } else if (answer?.status === 401) {
    // The hour is over: show the door.
    location.reload();
  }
}

setInterval(refresh, REFRESH_MS);
