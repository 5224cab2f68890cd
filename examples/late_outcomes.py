"""Outcomes that come late, were wrong, or never come. Nothing is overwritten: each is a new revision in the log.

A clock of our own lets the days pass quickly; leave `clock` out to use the real one.

python examples/late_outcomes.py
"""

from steersman import ActionSpace, Agent, AgentSpec, Flag, Reward, StateSchema, Steersman, SteersmanError

DAY_S = 86_400.0

offers = AgentSpec(
    name="mine/offers",
    description="Decides which reminder a customer gets.",
    state=StateSchema(name="offers", fields=(Flag(name="new_customer"),)),
    actions=ActionSpace.flat("mail", "letter"),
    reward=Reward.plain(0.0, 1.0, default=0.0),  # silence counts as 0; without a default it would teach nothing
    baseline=lambda state: "mail",
    safe_action="mail",
    settings={
        "learning": {"gamma": 0.0, "alpha": 0.5},
        "exploration": {"policy": "greedy"},
        "episodes": {"reward_wait_s": 7 * DAY_S, "accept_until_s": 30 * DAY_S},
    },
)


def show(agent: Agent, text: str) -> None:
    """Print what is known about mail."""
    values = agent.values({"new_customer": True})
    known = f"{values['action']['mail'].value:.3f}" if values else "nothing"
    print(f"{text:<62} value of mail: {known}")


def main() -> None:
    """Go through what can happen to an outcome."""
    now = [1_800_000_000.0]
    with Steersman.open("memory:", settings={}, clock=lambda: now[0]) as steersman:
        agent = steersman.agent(offers)
        first, second = (agent.decide({"new_customer": True}) for _ in range(2))

        now[0] += 3 * DAY_S
        agent.report(first, {"reward": 1.0})
        show(agent, "day 3: the first customer paid")
        agent.report(first, {"reward": 1.0})
        show(agent, "       … reported twice: changes nothing")

        try:
            agent.report(first, {"reward": 0.2})
        except SteersmanError as error:
            print(f"       … reported otherwise: {type(error).__name__}, and an entry in the audit trail")
        agent.report(first, {"reward": 0.2}, correct=True)
        show(agent, "       … corrected: learned again as if it had been so at once")

        now[0] += 5 * DAY_S
        print(f"day 8: {agent.expire()} decision waited too long and gets the default (done once a minute by itself)")
        show(agent, "       the second customer is silent")
        now[0] += 1 * DAY_S
        agent.report(second, {"reward": 0.8})
        show(agent, "day 9: the second customer paid after all")

        agent.withdraw(first)
        show(agent, "       the first payment was another customer's: withdrawn")
        print("revisions of the second:", [(each.kind, each.reward) for each in steersman.outcomes(second.id)])

        now[0] += 30 * DAY_S
        try:
            agent.report(second, {"reward": 0.9}, correct=True)
        except SteersmanError as error:
            print(f"day 39: {error}")


if __name__ == "__main__":
    main()
