// Shows new mails as they come: looks every two seconds, and only on the first page.
"use strict";

const mails = () => document.getElementById("mails");

async function look() {
  if (document.hidden || mails().dataset.first !== "yes") return;
  const answer = await fetch("/api/v1/messages?limit=1");
  const newest = (await answer.json()).messages[0]?.ID ?? "";
  if (newest === mails().dataset.newest) return;
  const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
  mails().replaceWith(page.getElementById("mails"));
  document.getElementById("total").replaceWith(page.getElementById("total"));
}

setInterval(() => look().catch(() => {}), 2000);
