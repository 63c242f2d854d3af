// MQTT.js: what is published comes to who has subscribed, in both versions and as large as one likes.
globalThis.scenario = async (mqtt, url) => {
  const told = [];
  for (const protocolVersion of [4, 5]) {
    const client = await mqtt.connectAsync(url.href, { protocolVersion, reconnectPeriod: 0, keepalive: 1 });
    await client.subscribeAsync("news/#", { qos: 1 });
    const large = "x".repeat(300_000);
    for (const [topic, text] of [["news/one", "žluťoučký 🐈\n\0"], ["news/two", large]]) {
      const comes = new Promise((resolve) => {
        client.once("message", (from, payload) => resolve([from, payload.toString()]));
      });
      await client.publishAsync(topic, text, { qos: 1 });
      const [from, payload] = await comes;
      told.push([protocolVersion, from, payload === large ? "large" : payload]);
    }
    await new Promise((resolve) => { client.once("packetreceive", ({ cmd }) => { told.push([cmd]); resolve(); }); });
    await client.endAsync();
  }
  return told;
};
