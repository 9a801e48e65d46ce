// What may be said of a call, from what both sides report: nothing that is old or contradicted is shown as the state of now.
//
// Pure: the times are arguments, in milliseconds on the page's clock.

export const OLD = 2500; // the bot reports twice a second
const SILENT = 1000; // both sides count fifty times a second
const CHECKED = 8000; // a browser checks a quiet path at least every few seconds
const GRACE = 10000; // for so long the room keeps the place of who has lost its socket

// The bot's clock, read on ours: each question and answer bounds the difference by its round trip; the quickest is kept.
export class Clock {
  constructor() {
    this.offset = null;
    this.best = Infinity;
  }

  answer(asked, at, now) {
    if (now - asked > this.best) return;
    this.best = now - asked;
    this.offset = at * 1000 - (asked + now) / 2;
  }

  // When something happened that the bot says was at this time; never later than now.
  here(at, now) {
    return this.offset === null ? now : Math.min(now, at * 1000 - this.offset);
  }
}

const seconds = (time) => `${Math.round(time / 1000)} s`;

// One sentence for both sides, and its tone: "good" only while both say so and messages arrive both ways.
// A third part, where there is one, says for how long. `away`: for how long the room's socket has been lost, or null.
export function health({ here, there, age, silence, silenceThere, away = null }) {
  if (away !== null && (silence ?? away) > SILENT) return ["bad", "neither the server nor the bot answers", seconds(silence ?? away)];
  const sides = [["this browser", here], ["the bot", there]];
  for (const state of ["failed", "closed", "disconnected"]) {
    const who = sides.filter(([, said]) => said === state).map(([name]) => name);
    if (!who.length) continue;
    const what = { failed: "failed: restart ICE or recreate", closed: "closed", disconnected: "disconnected, waiting for the path" };
    return ["bad", `${what[state]} (${who.length === 2 ? "both sides" : who[0]})`];
  }
  if (here === "new") return ["busy", "calling…"];
  if (here !== "connected" || there !== "connected") {
    const who = here !== "connected" ? "this browser" : "the bot";
    return ["busy", `connecting… (${here !== "connected" && there !== "connected" ? "both sides" : who})`];
  }
  const quiet = [["from the bot", silence], ["at the bot", silenceThere]].filter(([, time]) => time > SILENT);
  if (quiet.length) {
    const longest = Math.max(...quiet.map(([, time]) => time));
    return ["bad", `nothing arrives ${quiet.length === 2 ? "on either side" : quiet[0][0]}`, seconds(longest)];
  }
  if (age > OLD) return ["busy", "connected; the bot's word is missing", seconds(age)];
  if (silence === null || silenceThere === null) return ["busy", "connected; no messages yet"];
  return ["good", "connected"];
}

// Whether a call has ended without a word: there is no server any more, and no bot.
export function isOver({ here, silence, away }) {
  if (away === null) return false;
  return here === "failed" || here === "closed" || (away > GRACE && (silence ?? away) > GRACE / 2);
}

// Numbers of one direction. A number that has arrived was sent, whatever an older report of the sender says.
export function counts(sender, receiver) {
  return { ...receiver, sent: Math.max(sender?.sent ?? 0, receiver?.next ?? 0) };
}

// Whether a path's round trip was measured lately: `seen` remembers the number of answers to its checks.
export function isFresh(seen, pair, now) {
  if (pair && (seen.id !== pair.id || seen.answers !== pair.responsesReceived)) {
    Object.assign(seen, { id: pair.id, answers: pair.responsesReceived, since: now });
  }
  return Boolean(pair) && now - seen.since < CHECKED;
}
