// @ts-check
/**
 * The service from JavaScript or TypeScript, with nothing but fetch: ask, act, report. Types are those of /v1/openapi.json.
 *
 *   steersman up                                                in one terminal, with an agent in agent_files
 *   node examples/http.mjs http://127.0.0.1:8321 lab/small      in another; STEERSMAN_KEY=steer_… where it asks for a key
 */

/** @typedef {{agent: string, state: Record<string, string | number | boolean>, episode?: string, subject?: string}} Ask */
/** @typedef {{id: string, action: Record<string, string | number>, arm: string, reason: string, recorded: boolean}} Decision */
/** @typedef {{decision_id: string, revision: number, reward: number | null}} Outcome */
/** @typedef {{title: string, detail: string, status: number, error: string}} Problem */

const [address = "http://127.0.0.1:8321", agent = "lab/small"] = process.argv.slice(2);
const key = process.env.STEERSMAN_KEY;

/** What the caller has to mend, in the service's words. */
class SteersmanProblem extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/**
 * Send a request until it is answered, or `deadlineMs` is over. `again` says that it may be sent twice: an outcome may, a
 * decision may not (that would make two), so it is only sent again where the service turned it away.
 * @param {string} method @param {string} path @param {unknown} body @param {{again: boolean, deadlineMs?: number}} options
 * @returns {Promise<any>}
 */
async function call(method, path, body, { again, deadlineMs = 5000 }) {
  const until = Date.now() + deadlineMs;
  for (let pause = 20; ; pause *= 2) {
    let wait = Math.random() * pause;
    try {
      const answer = await fetch(address + path, {
        method,
        headers: { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(Math.max(1, until - Date.now())),
      });
      const content = await answer.json();
      if (answer.ok) return content;
      if (answer.status !== 429 && answer.status !== 503) throw new SteersmanProblem(content);
      wait = Math.max(wait, 1000 * Number(answer.headers.get("retry-after") ?? 0));
    } catch (error) {
      if (error instanceof SteersmanProblem || !again) throw error;
    }
    if (Date.now() + wait >= until) throw new Error(`${address} did not answer ${method} ${path} in time`);
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/** @param {Ask} ask @param {string} otherwise @returns {Promise<Decision>} */
async function decide(ask, otherwise) {
  try {
    return await call("POST", "/v1/decisions", ask, { again: false, deadlineMs: 1000 });
  } catch (error) {
    if (error instanceof SteersmanProblem) throw error;
    return { id: "", action: { action: otherwise }, arm: "baseline", reason: String(error), recorded: false };
  }
}

const decision = await decide({ agent, state: { load: 42, backlog: 7, weekend: false } }, "light");
console.log("decided:", decision.action, `(${decision.arm}: ${decision.reason})`);
if (decision.recorded) {
  const said = { decision_id: decision.id, measurements: { reward: 0.5 } };
  for (const time of ["first", "again"]) {
    /** @type {Outcome} */
    const outcome = await call("POST", "/v1/outcomes", said, { again: true });
    console.log(`reported, ${time}:`, outcome.reward, "as revision", outcome.revision);
  }
}
await decide({ agent, state: { load: 1000, weekend: false } }, "light").catch((error) => console.log("refused:", error.message));
