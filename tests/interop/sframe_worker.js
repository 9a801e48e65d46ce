// SFrame (RFC 9605) with AES_128_GCM_SHA256_128 on WebCrypto, in a worker: another implementation than ours.
const SUITE = 4;

async function derive(base, keyId) {
  const material = await crypto.subtle.importKey("raw", base, "HKDF", false, ["deriveBits"]);
  const bits = async (label, length) => {
    const info = new Uint8Array([...new TextEncoder().encode(label), ...number(keyId, 8), ...number(SUITE, 2)]);
    return crypto.subtle.deriveBits({name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info}, material, length);
  };
  const key = await bits("SFrame 1.0 Secret key ", 128);
  return {
    key: await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt", "decrypt"]),
    salt: new Uint8Array(await bits("SFrame 1.0 Secret salt ", 96)),
  };
}

function number(value, size) {
  const bytes = new Uint8Array(size);
  for (let at = size - 1; at >= 0; at--, value = Math.floor(value / 256)) bytes[at] = value % 256;
  return bytes;
}

function header(keyId, counter) {
  let first = 0, tail = [];
  for (const [shift, value] of [[4, keyId], [0, counter]]) {
    if (value < 8) { first |= value << shift; continue; }
    const bytes = number(value, Math.ceil(value.toString(2).length / 8));
    first |= (8 | bytes.length - 1) << shift;
    tail.push(...bytes);
  }
  return new Uint8Array([first, ...tail]);
}

function parse(data) {
  const values = [];
  let at = 1;
  for (const part of [data[0] >> 4, data[0] & 15]) {
    if (!(part & 8)) { values.push(part); continue; }
    let value = 0;
    for (let left = (part & 7) + 1; left; left--) value = value * 256 + data[at++];
    values.push(value);
  }
  return {keyId: values[0], counter: values[1], size: at};
}

function nonce(salt, counter) {
  return salt.map((octet, at) => octet ^ number(counter, 12)[at]);
}

// what relays and the browser's own depacketizer read of VP8 stays in the clear, and is authenticated
function clearBytes(frame, data) {
  return frame instanceof RTCEncodedVideoFrame ? (data[0] & 1 ? 3 : 10) : 0;
}

onrtctransform = async ({transformer: {readable, writable, options}}) => {
  const {key, salt} = await derive(new Uint8Array(options.key), options.keyId);
  let counter = 0;
  const count = {passed: 0, failed: 0};
  await readable.pipeThrough(new TransformStream({
    async transform(frame, controller) {
      const data = new Uint8Array(frame.data), clear = data.subarray(0, clearBytes(frame, data));
      const body = data.subarray(clear.length);
      let result;
      try {
        if (options.encrypts) {
          const head = header(options.keyId, counter);
          const additionalData = new Uint8Array([...head, ...clear]), iv = nonce(salt, counter++);
          const sealed = await crypto.subtle.encrypt({name: "AES-GCM", iv, additionalData}, key, body);
          result = [clear, head, new Uint8Array(sealed)];
        } else {
          const found = parse(body), iv = nonce(salt, found.counter);
          const additionalData = new Uint8Array([...body.subarray(0, found.size), ...clear]);
          const opened = await crypto.subtle.decrypt(
            {name: "AES-GCM", iv, additionalData}, key, body.subarray(found.size));
          result = [clear, new Uint8Array(opened)];
        }
        count.passed++;
        frame.data = await new Blob(result).arrayBuffer();
        controller.enqueue(frame);
      } catch (error) {
        count.failed++;
      }
      if (options.port) options.port.postMessage(count);
    },
  })).pipeTo(writable);
};
