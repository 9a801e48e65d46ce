// A clock in a worker: timers of a page in the background are slowed down to one a second, a worker's are not.
let timer = 0;
onmessage = (event) => {
  clearInterval(timer);
  if (event.data > 0) timer = setInterval(() => postMessage(0), event.data);
};
