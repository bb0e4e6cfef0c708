// Posts one event with each of the official signing libraries: post.js URL SECRET.
const [url, secret] = process.argv.slice(2);

async function main() {
  for (const [name, library, prefix] of [
    ["node-svix", require("svix"), "svix"],
    ["node-standardwebhooks", require("standardwebhooks"), "webhook"],
  ]) {
    const now = new Date();
    const id = "msg_" + name;
    const data = { id: name, email: "zoë@example.com", name: "Zoë 名前 ✓" };
    const body = JSON.stringify({ type: "user.created", data });
    const headers = {
      [prefix + "-id"]: id,
      [prefix + "-timestamp"]: String(Math.floor(now.getTime() / 1000)),
      [prefix + "-signature"]: new library.Webhook(secret).sign(id, now, body),
      "content-type": "application/json",
    };
    const answer = await fetch(url, { method: "POST", headers, body });
    console.log(name, answer.status);
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
