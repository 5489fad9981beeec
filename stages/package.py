"""package: a trained experiment as a folder that predicts anywhere: weights, ser.yaml and a model card. STUDY NAME"""

from ser.core.errors import arguments, run_command
from ser.core.layout import Layout
from ser.packages.make import make


def main() -> None:
    study, name = arguments("STUDY", "NAME")
    layout = Layout(study)
    made = make(layout, name, layout.settings(f"package/{name}"))
    temperature = "not calibrated" if made.temperature is None else f"temperature {made.temperature:.2f}"
    print(f"{name}: {len(made.members)} models of {made.experiment}, {temperature}: {layout.package(name)}")


if __name__ == "__main__":
    run_command(main)
