"""Gives this clone a template for `dvc plots` that contains Vega, so that the page works without a network.

The page that DVC writes by default loads three scripts from a CDN and stays blank offline. The template is set for this
clone only (`dvc config --local`): in the committed configuration a missing template would break every `dvc plots`
command."""

import subprocess
from pathlib import Path

import vl_convert

HTML = """<!DOCTYPE html>
<html><head>{refresh_tag}<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ser: plots</title>
<style>body{font-family:sans-serif;margin:1rem}body>div{display:inline-block;vertical-align:top;margin:8px}</style>
<script>%s</script></head><body>{plot_divs}</body></html>"""


def main() -> None:
    script = vl_convert.javascript_bundle().replace("</script", "<\\/script")
    Path(".dvc/tmp").mkdir(parents=True, exist_ok=True)
    Path(".dvc/tmp/offline_plots.html").write_text(HTML.replace("%s", script), encoding="utf-8")
    subprocess.run(["dvc", "config", "--local", "plots.html_template", "tmp/offline_plots.html"], check=True)


if __name__ == "__main__":
    main()
