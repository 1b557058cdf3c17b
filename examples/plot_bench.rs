//! Draws how cost grows, from the lines that `benches/how_fast` wrote: sagas a second by nodes, by sagas in the
//! tables and by sagas in the queue. Reads stdin, writes SVG to stdout; owns nothing but the drawing.

use std::fmt::Write as _;
use std::io::Read as _;

use serde_json::Value;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 34.0;
const GAP: f64 = 24.0;

/// One panel: which rows, over which setting.
struct Panel {
    row: &'static str,
    setting: &'static str,
    title: &'static str,
}

const PANELS: [Panel; 3] = [
    Panel { row: "nodes", setting: "nodes", title: "node processes, same work" },
    Panel { row: "history", setting: "history", title: "ended sagas in the tables" },
    Panel { row: "backlog", setting: "backlog", title: "sagas in the queue" },
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    print!("{}", drawing(&lines)?);
    Ok(())
}

fn drawing(lines: &[Value]) -> Result<String, std::fmt::Error> {
    let (width, height) = (3.0 * (LEFT + WIDTH + GAP), TOP + HEIGHT + 46.0);
    let mut svg = String::new();
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#555\"><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    )?;
    for (place, panel) in PANELS.iter().enumerate() {
        let points: Vec<(f64, f64)> = lines.iter().filter_map(|line| panel.point(line)).collect();
        panel.draw(&mut svg, place as f64 * (LEFT + WIDTH + GAP) + LEFT, &points)?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

impl Panel {
    /// The setting and the sagas a second of a line that belongs here.
    fn point(&self, line: &Value) -> Option<(f64, f64)> {
        (line["row"] == self.row).then_some(())?;
        Some((line["settings"][self.setting].as_f64()?, line["sagas_per_s"].as_f64()?))
    }

    /// Draws the points at even distances, from zero up, so that flat looks flat.
    fn draw(&self, svg: &mut String, left: f64, points: &[(f64, f64)]) -> std::fmt::Result {
        let (bottom, middle) = (TOP + HEIGHT, left + WIDTH / 2.0);
        let title = self.title;
        writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{title}</text>", bottom + 36.0)?;
        let most = points.iter().map(|point| point.1).fold(1.0, f64::max);
        let top = (most / 5_000.0).ceil() * 5_000.0;
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let y = bottom - share * HEIGHT;
            writeln!(
                svg,
                "<path d=\"M{left} {y}h{WIDTH}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{}\" \
                 text-anchor=\"end\">{}</text>",
                left - 6.0,
                y + 4.0,
                short(share * top)
            )?;
        }
        let across = |index: usize| left + WIDTH * (index as f64 + 0.5) / points.len().max(1) as f64;
        let mut path = String::new();
        for (index, (setting, rate)) in points.iter().enumerate() {
            let (x, y) = (across(index), bottom - rate / top * HEIGHT);
            write!(path, "{}{x:.1} {y:.1}", if index == 0 { "M" } else { "L" })?;
            writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#2563eb\"/><text x=\"{x:.1}\" y=\"{}\" \
                 text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                short(*setting)
            )?;
        }
        writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"#2563eb\" stroke-width=\"2\"/>")?;
        writeln!(svg, "<text x=\"{left}\" y=\"{}\">sagas/s</text>", TOP - 14.0)
    }
}

/// `1500000` as `1.5M`.
fn short(number: f64) -> String {
    match number {
        million if million >= 1e6 => format!("{}M", (million / 1e5).round() / 10.0),
        thousand if thousand >= 1e3 => format!("{}k", (thousand / 1e2).round() / 10.0),
        few => format!("{few}"),
    }
}
