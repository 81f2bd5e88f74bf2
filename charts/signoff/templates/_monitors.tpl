{{/* What the endpoint of a ServiceMonitor and of a PodMonitor have in common: (list . VALUES) */}}
{{- define "signoff.scraped" -}}
{{- $values := index . 1 -}}
port: admin
path: /metrics
scheme: {{ default (include "signoff.adminScheme" (index . 0)) $values.scheme }}
honorLabels: {{ $values.honorLabels }}
{{- with $values.interval }}
interval: {{ . }}
{{- end }}
{{- with $values.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with $values.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.authorization }}
authorization:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What their specs have in common: (list . VALUES) */}}
{{- define "signoff.monitored" -}}
{{- $root := index . 0 }}
{{- $values := index . 1 -}}
namespaceSelector:
  matchNames:
    - {{ include "signoff.namespace" $root }}
selector:
  matchLabels:
    {{- include "signoff.selectorLabels" $root | nindent 4 }}
{{- with $values.jobLabel }}
jobLabel: {{ . }}
{{- end }}
{{- with $values.sampleLimit }}
sampleLimit: {{ . }}
{{- end }}
{{- with $values.scrapeClass }}
scrapeClass: {{ . }}
{{- end }}
{{- with $values.scrapeProtocols }}
scrapeProtocols:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
