{{/* What everything is named after. */}}
{{- define "telemetry.name" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* The name of what has no namespace. */}}
{{- define "telemetry.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "telemetry.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "telemetry.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "telemetry.name" .) -}}
{{- end }}

{{- define "telemetry.identitySecret" -}}
{{- .Values.telemetry.identitySecret | default (printf "%s-identity" (include "telemetry.name" .)) -}}
{{- end }}

{{/* The Secret of an earlier telemetry-client installation. */}}
{{- define "telemetry.earlierSecret" -}}
{{- .Values.telemetry.existingSecret | default (printf "%s-client-uuid" .Release.Name) -}}
{{- end }}

{{- define "telemetry.claim" -}}
{{- .Values.persistence.existingClaim | default (include "telemetry.name" .) -}}
{{- end }}

{{/* Labels that never change, by which pods are selected. */}}
{{- define "telemetry.selector" -}}
app.kubernetes.io/name: kubermatic-telemetry
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "telemetry.labels" -}}
{{ include "telemetry.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "telemetry.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end }}

{{/* Once a day, at a minute of its own. */}}
{{- define "telemetry.schedule" -}}
{{- if .Values.telemetry.schedule -}}
{{ .Values.telemetry.schedule }}
{{- else -}}
{{- $seed := sha256sum (printf "%s/%s/%s" .Release.Namespace .Release.Name .Values.telemetry.uuid) -}}
{{- $minute := mod (adler32sum $seed | int64) 1440 -}}
{{ mod $minute 60 }} {{ div $minute 60 }} * * *
{{- end -}}
{{- end }}

{{/* alerts.overdue in seconds, for PromQL. */}}
{{- define "telemetry.overdueSeconds" -}}
{{- $units := dict "m" 60 "h" 3600 "d" 86400 -}}
{{- $overdue := .Values.alerts.overdue -}}
{{- mul (regexFind "^[0-9]+" $overdue | int64) (get $units (regexFind "[mhd]$" $overdue)) -}}
{{- end }}
