// @neondatabase/serverless: queries and their answers.
globalThis.scenario = async ({ Client, neonConfig }, url) => {
  neonConfig.wsProxy = () => url.host;
  neonConfig.useSecureWebSocket = false;
  neonConfig.pipelineTLS = false;
  neonConfig.pipelineConnect = false;
  neonConfig.webSocketConstructor = globalThis.WebSocket;
  const client = new Client({ host: "database", user: "postgres", database: "postgres" });
  await client.connect();
  const told = [];
  const ask = async (text, values) => told.push((await client.query({ text, values, rowMode: "array" })).rows);
  await ask("SELECT 6 * $1::int, $2::text", [7, "žluťoučký 🐈\n"]);
  await ask("SELECT length(repeat('x', 300000)), length($1::text)", ["y".repeat(300_000)]);
  await client.query("CREATE TABLE lines (line text)");
  await client.query("INSERT INTO lines SELECT 'line ' || n FROM generate_series(1, 20000) AS n");
  await ask("SELECT count(*)::int, max(length(line)) FROM lines");
  told.push((await client.query("SELECT line FROM lines")).rows.length);
  told.push(await client.query("SELECT nothing").catch((error) => error.code));
  await client.end();
  return told;
};
