// A person's browser confirms by itself; a page fetched ahead of its reader does not.
"use strict";

const form = document.getElementById("confirm");

function send() {
  form.requestSubmit();
}

if (document.prerendering) {
  document.addEventListener("prerenderingchange", send, { once: true });
} else {
  send();
}
