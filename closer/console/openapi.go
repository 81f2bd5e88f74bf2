package console

import (
	_ "embed"
	"net/http"
)

// description is the listener's, in OpenAPI 3.1.
//
//go:embed openapi.yaml
var description []byte

const descriptionPath = "/api/v1/openapi.yaml"

func (s *Server) describe(w http.ResponseWriter, _ *http.Request, _ principal) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(description)
}
