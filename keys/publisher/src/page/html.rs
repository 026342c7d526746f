//! HTML that is written, never parsed: markup is literal in the code, and everything else goes through [`Html::text`].

/// A page, or a part of one.
#[derive(Default)]
pub struct Html(String);

impl Html {
    /// Markup of our own.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Anything else, for text and for attributes in double quotes: nothing in it is markup, and nothing in it turns the
    /// direction of what follows or moves a terminal that shows the source.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' => self.0.push('\n'),
                c if c.is_control() || turns_direction(c) => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A number or the like.
    pub fn show(&mut self, value: impl std::fmt::Display) -> &mut Self {
        self.text(&value.to_string())
    }

    /// The markup.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// The marks, embeddings, overrides and isolates of bidirectional text, and invisible separators of lines.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        let mut html = Html::default();
        html.text("</p><script>alert(\"1\" + '2')</script>&amp;\u{202e}\u{7}\n");
        assert_eq!(
            html.into_string(),
            "&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot; + &#39;2&#39;)&lt;/script&gt;&amp;amp;\u{fffd}\u{fffd}\n"
        );
    }
}
