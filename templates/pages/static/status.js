// Shows the numbers anew every five seconds; where the reader has scrolled to stays in view.
"use strict";

const REFRESH_MS = 5_000;

async function refresh() {
  if (document.hidden) {
    return;
  }
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (answer?.ok) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceWith(page.querySelector("main"));
  } else if (answer?.status === 401) {
    // The hour is over: show the door.
    location.reload();
  }
}

setInterval(refresh, REFRESH_MS);
