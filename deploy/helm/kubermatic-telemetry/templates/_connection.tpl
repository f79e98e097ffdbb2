{{/* What only the reporter has, and only in the connected mode: where it sends, and how it gets there. */}}

{{- define "telemetry.reporterArgs" -}}
{{- if .Values.telemetry.reporterArgs -}}
{{ toYaml .Values.telemetry.reporterArgs }}
{{- else -}}
- send
- --log-format={{ .Values.telemetry.logFormat }}
{{- with .Values.telemetry.splay }}
- --splay={{ . }}
{{- end }}
{{- with .Values.connection }}
{{- if .clientCertificateSecret }}
- --client-cert=/etc/kubermatic-telemetry/client-certificate/tls.crt
- --client-key=/etc/kubermatic-telemetry/client-certificate/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "telemetry.connectionEnv" -}}
- name: KUBERMATIC_TELEMETRY_URL
  value: {{ .Values.telemetry.targetURL | quote }}
{{- with .Values.connection }}
{{- if .proxy.existingSecret }}
- name: HTTPS_PROXY
  valueFrom:
    secretKeyRef:
      name: {{ .proxy.existingSecret }}
      key: url
- name: HTTP_PROXY
  valueFrom:
    secretKeyRef:
      name: {{ .proxy.existingSecret }}
      key: url
{{- else if .proxy.url }}
- name: HTTPS_PROXY
  value: {{ .proxy.url | quote }}
- name: HTTP_PROXY
  value: {{ .proxy.url | quote }}
{{- end }}
{{- if .proxy.noProxy }}
- name: NO_PROXY
  value: {{ .proxy.noProxy | quote }}
{{- end }}
{{- if or .ca .caConfigMap }}
- name: KUBERMATIC_TELEMETRY_CA_FILE
  value: /etc/kubermatic-telemetry/ca/ca.crt
{{- end }}
{{- if .tokenSecret }}
- name: KUBERMATIC_TELEMETRY_TOKEN_FILE
  value: /etc/kubermatic-telemetry/token/token
{{- end }}
{{- end }}
{{- end }}

{{/* The volumes of the connection. */}}
{{- define "telemetry.connectionMounts" -}}
{{- with .Values.connection }}
{{- if or .ca .caConfigMap }}
- name: ca
  mountPath: /etc/kubermatic-telemetry/ca
  readOnly: true
{{- end }}
{{- if .clientCertificateSecret }}
- name: client-certificate
  mountPath: /etc/kubermatic-telemetry/client-certificate
  readOnly: true
{{- end }}
{{- if .tokenSecret }}
- name: token
  mountPath: /etc/kubermatic-telemetry/token
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{- define "telemetry.connectionVolumes" -}}
{{- with .Values.connection }}
{{- if or .ca .caConfigMap }}
- name: ca
  configMap:
    name: {{ .caConfigMap | default (printf "%s-ca" (include "telemetry.name" $)) }}
{{- end }}
{{- if .clientCertificateSecret }}
- name: client-certificate
  secret:
    secretName: {{ .clientCertificateSecret }}
    defaultMode: 288 # 0440
{{- end }}
{{- if .tokenSecret }}
- name: token
  secret:
    secretName: {{ .tokenSecret }}
    defaultMode: 288 # 0440
{{- end }}
{{- end }}
{{- end }}

{{/* The port of the proxy, or else of targetURL, unless values say. */}}
{{- define "telemetry.endpointPorts" -}}
{{- if .Values.networkPolicy.endpoint.ports -}}
{{ join " " .Values.networkPolicy.endpoint.ports }}
{{- else -}}
{{- if .Values.connection.proxy.existingSecret -}}
{{- fail "connection.proxy.existingSecret hides the proxy's port: set networkPolicy.endpoint.ports to it" -}}
{{- end -}}
{{- $url := urlParse (.Values.connection.proxy.url | default .Values.telemetry.targetURL) -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{ $port | default (ternary "80" "443" (eq $url.scheme "http")) }}
{{- end -}}
{{- end }}
