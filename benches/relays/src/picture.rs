//! The picture: for each workload, how many times HAProxy's cost every relay has, on a logarithmic scale.

use crate::summary::{Bar, Chart};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use std::{error::Error, path::Path};

const TITLE: &str = "Cost as a multiple of HAProxy's";

const LEGEND: &str = "HAProxy (mode tcp; with TLS for those with TLS) = 1×; logarithmic; left of the line is less than HAProxy";

const WIDTH: i32 = 1000;
const LEFT: i32 = 250;
const RIGHT: i32 = 200;
const TOP: i32 = 90;
const BAR: i32 = 15;
const GAP: i32 = 14;
pub const INK: RGBColor = RGBColor(34, 34, 34);
pub const FAINT: RGBColor = RGBColor(221, 221, 221);

/// Okabe and Ito's colours, which colour-blind people can tell apart; names stand beside the bars all the same.
pub fn colour(peer: &str) -> RGBColor {
    match peer {
        "wsrelay" | "wsrelay-tls" => RGBColor(0, 114, 178),
        "nginx-tls" => RGBColor(240, 228, 66),
        "websocketd+nc" => RGBColor(213, 94, 0),
        "websocat" => RGBColor(0, 158, 115),
        "wstcp" => RGBColor(204, 121, 167),
        "websockify" => RGBColor(230, 159, 0),
        _ => RGBColor(136, 136, 136),
    }
}

/// Ratios to pixels.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    /// One and all that is to be shown lie on it.
    fn new(ratios: impl Iterator<Item = f64>) -> Self {
        let (least, most) = ratios.fold((0.8, 2.0), |(least, most): (f64, f64), ratio| {
            (least.min(ratio), most.max(ratio))
        });
        Scale { least: least.max(1e-3), most: most.min(1e5) * 1.1 }
    }

    fn x(&self, ratio: f64) -> i32 {
        let share =
            (ratio.clamp(self.least, self.most) / self.least).ln() / (self.most / self.least).ln();
        LEFT + (share * f64::from(WIDTH - LEFT - RIGHT)).round() as i32
    }

    /// 1, 2 and 5 times the powers of ten, or the powers alone if it is a long scale.
    fn ticks(&self) -> Vec<f64> {
        let steps: &[f64] = if self.most / self.least > 200.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all = (-3..=5).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        all.filter(|tick| (self.least..=self.most).contains(tick)).collect()
    }
}

/// Writes the picture to `path`.
pub fn draw(chart: &Chart, path: &Path) -> Drawn {
    let rows: i32 =
        chart.groups.iter().map(|group| group.bars.len().max(1) as i32 * BAR + GAP).sum();
    let bottom = TOP + rows;
    let height = bottom + 40 + 18 * chart.absent.len() as i32;
    let mut svg = String::new();
    paint(chart, (WIDTH as u32, height as u32), bottom, &mut svg)?;
    Ok(std::fs::write(path, with_words(&svg, TITLE, &words(chart)))?)
}

/// What the picture shows, in words.
fn words(chart: &Chart) -> String {
    let shown = chart.groups.iter().filter(|group| !group.bars.is_empty());
    let bars = shown.map(|group| {
        let bars = group.bars.iter().map(|(peer, bar)| label(peer, bar));
        format!("{}: {}.", group.title, bars.collect::<Vec<_>>().join(", "))
    });
    bars.chain(chart.absent.iter().map(|why| format!("{why}."))).collect::<Vec<_>>().join("\n")
}

/// Gives a picture a title, and in words what it shows, for whoever can't see it.
pub fn with_words(svg: &str, title: &str, words: &str) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let (title, words) = (escape(title), escape(words));
    let head = format!("<title id=\"title\">{title}</title>\n<desc id=\"desc\">{words}</desc>\n");
    let svg = svg.replacen("<svg ", "<svg role=\"img\" aria-labelledby=\"title desc\" ", 1);
    match svg.find("<svg ").and_then(|start| Some(start + svg[start..].find('>')? + 1)) {
        Some(end) => format!("{}\n{head}{}", &svg[..end], &svg[end..]),
        None => svg,
    }
}

/// What stands beside a bar.
fn label(peer: &str, bar: &Bar) -> String {
    let mut words = peer.to_owned();
    if let Some(ratio) = bar.ratio {
        let digits = if ratio < 10.0 { 2 } else { usize::from(ratio < 100.0) };
        words += &format!(" {ratio:.digits$}×");
    }
    if let Some(remark) = &bar.remark {
        words += &format!(": {remark}");
    }
    words
}

pub type Area<'a, C = Shift> = DrawingArea<SVGBackend<'a>, C>;
pub type Drawn = Result<(), Box<dyn Error>>;

/// Writes `words` beside a point: to its right, or around it.
pub fn write(area: &Area, words: &str, (x, y): (i32, i32), size: i32, h: HPos) -> Drawn {
    let style = ("sans-serif", size).into_font().color(&INK).pos(Pos::new(h, VPos::Center));
    Ok(area.draw(&Text::new(words.to_owned(), (x, y), style))?)
}

fn paint(chart: &Chart, size: (u32, u32), bottom: i32, svg: &mut String) -> Drawn {
    let area = SVGBackend::with_string(svg, size).into_drawing_area();
    area.fill(&WHITE)?;
    let scale = Scale::new(
        chart.groups.iter().flat_map(|group| &group.bars).filter_map(|(_, bar)| bar.ratio),
    );
    write(&area, TITLE, (16, 24), 22, HPos::Left)?;
    write(&area, LEGEND, (16, 48), 13, HPos::Left)?;
    paint_scale(&area, &scale, bottom)?;
    let mut y = TOP;
    for group in &chart.groups {
        write(&area, &group.title, (16, y + BAR / 2), 14, HPos::Left)?;
        for (peer, bar) in &group.bars {
            paint_bar(&area, &scale, peer, bar, y)?;
            y += BAR;
        }
        y += GAP + if group.bars.is_empty() { BAR } else { 0 };
    }
    for (at, why) in chart.absent.iter().enumerate() {
        write(&area, why, (16, bottom + 20 + 18 * at as i32), 12, HPos::Left)?;
    }
    Ok(area.present()?)
}

fn paint_scale(area: &Area, scale: &Scale, bottom: i32) -> Drawn {
    for tick in scale.ticks() {
        let (x, one) = (scale.x(tick), tick == 1.0);
        let style = if one { INK.stroke_width(2) } else { FAINT.stroke_width(1) };
        area.draw(&PathElement::new(vec![(x, TOP - 8), (x, bottom)], style))?;
        write(area, &format!("{tick}×"), (x, TOP - 18), 12, HPos::Center)?;
    }
    Ok(())
}

fn paint_bar(area: &Area, scale: &Scale, peer: &str, bar: &Bar, y: i32) -> Drawn {
    let mut end = scale.x(1.0);
    if let Some(ratio) = bar.ratio {
        let start = scale.x(ratio.min(1.0));
        end = scale.x(ratio.max(1.0));
        let corners = [(start, y + 1), (end.max(start + 1), y + BAR - 2)];
        area.draw(&Rectangle::new(corners, colour(peer).filled()))?;
    }
    write(area, &label(peer, bar), (end + 6, y + BAR / 2), 12, HPos::Left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Group;

    #[test]
    fn the_picture_says_in_words_what_it_shows() {
        let bar = Bar { ratio: Some(1.5), remark: Some("failed <1> of 2".into()) };
        let groups =
            vec![Group { title: "echo: CPU per line".into(), bars: vec![("wsrelay", bar)] }];
        let chart = Chart { groups, absent: vec!["wstcp: not installed".into()] };
        let mut svg = String::new();
        paint(&chart, (1000, 200), 150, &mut svg).unwrap();
        let svg = with_words(&svg, TITLE, &words(&chart));
        let (start, title) = (svg.find("<svg ").unwrap(), svg.find("<title").unwrap());
        assert_eq!(svg[start..title].matches('>').count(), 1, "the title comes first");
        assert!(svg.contains("echo: CPU per line: wsrelay 1.50×: failed &lt;1&gt; of 2."));
        assert!(svg.contains("wstcp: not installed.</desc>"));
    }

    #[test]
    fn the_scale_is_logarithmic_and_holds_everything() {
        let scale = Scale::new([0.5, 50.0].into_iter());
        let step = scale.x(2.0) - scale.x(1.0);
        assert!((scale.x(4.0) - scale.x(2.0) - step).abs() <= 1);
        assert!(scale.x(0.5) >= LEFT && scale.x(50.0) <= WIDTH - RIGHT);
        assert!(scale.ticks().contains(&1.0));
        assert!(scale.x(f64::INFINITY) <= WIDTH - RIGHT);
    }

    #[test]
    fn ratios_have_three_digits() {
        let of = |ratio| label("wstcp", &Bar { ratio: Some(ratio), remark: None });
        assert_eq!(of(0.954), "wstcp 0.95×");
        assert_eq!(of(23.04), "wstcp 23.0×");
        assert_eq!(of(1108.9), "wstcp 1109×");
    }
}
