// irc-framework: two users meet in a channel. With `lines`, all lines that each of them heard are told.
globalThis.scenario = async (IRC, { hostname, port }, { lines }) => {
  const heard = { ann: [], bob: [] };
  const next = (client, event) => new Promise((resolve) => { client.once(event, resolve); });
  const arrive = async (nick) => {
    const client = new IRC.Client();
    client.on("raw", ({ line, from_server: fromServer }) => { if (fromServer) heard[nick].push([nick, line]); });
    client.connect({
      host: hostname, port, path: "/", nick, username: nick, gecos: `${nick} in a test`, auto_reconnect: false,
      websocket_protocol: "text.ircv3.net",
    });
    await next(client, "registered");
    client.join("#tea");
    await next(client, "userlist");
    return client;
  };
  const told = [];
  const hears = async (client, event, ...keys) => {
    const it = await next(client, event);
    told.push([event, ...keys.map((key) => it[key])]);
  };

  const ann = await arrive("ann");
  const joined = hears(ann, "join", "nick", "channel");
  const bob = await arrive("bob");
  await joined;
  let hearing = hears(ann, "privmsg", "nick", "target", "message");
  bob.say("#tea", "žluťoučký 🐈");
  await hearing;
  hearing = hears(bob, "action", "nick", "target", "message");
  ann.action("bob", "nods");
  await hearing;
  told.push(await new Promise((resolve) => {
    ann.whois("bob", ({ nick, ident, hostname: host, real_name }) => resolve(["whois", nick, ident, host, real_name]));
  }));
  hearing = hears(ann, "quit", "nick");
  const closed = next(bob, "socket close");
  bob.quit("good night");
  await Promise.all([hearing, closed]);
  ann.quit();
  await next(ann, "socket close");
  return lines ? [...heard.ann, ...heard.bob] : told;
};
