// Passkeys: asks the server what to sign, the browser to sign it, and sends the answer with the form around the button.
const LETTERS = { "-": "+", _: "/" };

function bytes(text) {
  const plain = atob(text.replace(/[-_]/g, (letter) => LETTERS[letter]));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

function text(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

const named = (known) => known.map((one) => ({ ...one, id: bytes(one.id) }));

function forCreate({ publicKey }) {
  const user = { ...publicKey.user, id: bytes(publicKey.user.id) };
  const excludeCredentials = named(publicKey.excludeCredentials ?? []);
  return { publicKey: { ...publicKey, user, excludeCredentials, challenge: bytes(publicKey.challenge) } };
}

function forGet({ publicKey }) {
  const allowCredentials = named(publicKey.allowCredentials ?? []);
  return { publicKey: { ...publicKey, allowCredentials, challenge: bytes(publicKey.challenge) } };
}

function told(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  const id = text(credential.rawId);
  return { id, rawId: id, type: credential.type, response, clientExtensionResults: {} };
}

async function ask(form) {
  const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  const answer = await fetch(form.dataset.options, { method: "POST", headers, redirect: "error" });
  if (!answer.ok) throw new Error("reload the page and try again");
  const options = await answer.json();
  const makes = form.dataset.passkey === "create";
  return makes ? navigator.credentials.create(forCreate(options)) : navigator.credentials.get(forGet(options));
}

async function onSubmit(event) {
  event.preventDefault();
  const form = event.target;
  const said = form.querySelector("[role=alert]");
  said.hidden = true;
  try {
    form.elements.answer.value = JSON.stringify(told(await ask(form)));
    form.submit();
  } catch (problem) {
    const gaveUp = problem.name === "NotAllowedError";
    said.textContent = gaveUp ? "No passkey was used." : `The passkey did not work: ${problem.message}.`;
    said.hidden = false;
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) form.addEventListener("submit", onSubmit);
