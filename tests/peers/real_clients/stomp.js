// @stomp/stompjs: what is sent to a topic comes to who has subscribed.
globalThis.scenario = async ({ Client }, url, { host }) => {
  const told = [];
  const client = new Client({
    brokerURL: url.href, connectHeaders: { host }, reconnectDelay: 0, heartbeatIncoming: 0, heartbeatOutgoing: 0,
  });
  await new Promise((resolve, reject) => {
    client.onConnect = resolve;
    client.onStompError = (frame) => reject(new Error(frame.headers.message));
    client.onWebSocketClose = ({ code, reason }) => reject(new Error(`${code} ${reason}`));
    client.activate();
  });
  told.push([client.webSocket.protocol]);
  let take;
  client.subscribe("/topic/news", (message) => take([message.headers.destination, message.body]), { receipt: "there" });
  await new Promise((resolve) => { client.watchForReceipt("there", resolve); });
  for (const body of ["žluťoučký 🐈\nof two lines", "x".repeat(100_000)]) {
    const comes = new Promise((resolve) => { take = resolve; });
    client.publish({ destination: "/topic/news", body });
    const [destination, got] = await comes;
    told.push([destination, got.length > 1000 ? got.length : got]);
  }
  client.onWebSocketClose = () => {};
  await client.deactivate();
  return told;
};
