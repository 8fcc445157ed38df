package wbxml

import (
	"bufio"
	"encoding/base64"
	"encoding/xml"
	"io"
)

// XML writes e as XML, for traces and to hold it against a schema. Opaque data comes
// as base64; what From would write, too large to be worth it, does not come.
func XML(w io.Writer, e *Element) error {
	out := bufio.NewWriter(w)
	_, _ = out.WriteString(xml.Header) // errors stay in the writer until Flush
	writeXML(out, e, "")
	_, _ = out.WriteString("\n")
	return out.Flush()
}

func writeXML(out *bufio.Writer, e *Element, within string) {
	name, space := e.Tag.Name(), xmlNamespace(e.Tag)
	_, _ = out.WriteString("<" + name)
	if space != within {
		_, _ = out.WriteString(` xmlns="` + space + `"`)
	}
	if len(e.Children) == 0 && e.Text == "" {
		_, _ = out.WriteString("/>")
		return
	}
	_, _ = out.WriteString(">")
	for _, c := range e.Children {
		writeXML(out, c, space)
	}
	text := e.Text
	if e.Opaque {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	_ = xml.EscapeText(out, []byte(text))
	_, _ = out.WriteString("</" + name + ">")
}

// xmlNamespace is how the schemas spell a namespace.
func xmlNamespace(t Tag) string {
	if t.Namespace() == "Gal" {
		return "GAL"
	}
	return t.Namespace()
}
