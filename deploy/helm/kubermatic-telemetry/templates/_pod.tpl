{{/* What the pods of both modes have in common; they differ in their containers and in what restarts them. */}}

{{/* Labels of every pod. KKP finds the reporter's log by control-plane. */}}
{{- define "telemetry.podLabels" -}}
{{ include "telemetry.labels" . }}
app.kubernetes.io/component: agent
control-plane: {{ .Release.Name }}
{{- with .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "telemetry.podSettings" -}}
serviceAccountName: {{ include "telemetry.serviceAccount" . }}
# Only the containers that ask the API server have its token, from a volume of theirs.
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end }}

{{/* Image, environment and rights of every container. */}}
{{- define "telemetry.container" -}}
image: {{ include "telemetry.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{- define "telemetry.env" -}}
- name: KUBERMATIC_TELEMETRY_STATE
  value: /var/lib/kubermatic-telemetry/state
- name: KUBERMATIC_TELEMETRY_IDENTITY
  value: /run/kubermatic-telemetry/identity
- name: KUBERMATIC_TELEMETRY_SETTINGS
  value: /etc/kubermatic-telemetry/settings
- name: KUBERMATIC_TELEMETRY_KEEP_BYTES
  value: {{ .Values.telemetry.keepBytes | int64 | quote }}
{{- if .Values.telemetry.receiptKeys }}
- name: KUBERMATIC_TELEMETRY_RECEIPT_KEY
  value: /etc/kubermatic-telemetry/receipt-keys/receipt-keys.pem
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "telemetry.mounts" -}}
- name: store
  mountPath: /var/lib/kubermatic-telemetry
- name: identity
  mountPath: /run/kubermatic-telemetry
- name: settings
  mountPath: /etc/kubermatic-telemetry/settings
  readOnly: true
- name: scratch
  mountPath: /tmp
{{- if .Values.telemetry.receiptKeys }}
- name: receipt-keys
  mountPath: /etc/kubermatic-telemetry/receipt-keys
  readOnly: true
{{- end }}
{{- end }}

{{- define "telemetry.apiMounts" -}}
- name: api-access
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- if .Values.telemetry.kubeconfigs.names }}
- name: kubeconfigs
  mountPath: /etc/kubermatic-telemetry/kubeconfigs
  readOnly: true
{{- end }}
{{- end }}

{{- define "telemetry.volumes" -}}
- name: store
  persistentVolumeClaim:
    claimName: {{ include "telemetry.claim" . }}
{{ include "telemetry.volumesWithoutStore" . }}
{{- end }}

{{- define "telemetry.volumesWithoutStore" -}}
- name: identity
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
- name: settings
  configMap:
    name: {{ include "telemetry.name" . }}
    optional: true
- name: scratch
  emptyDir: {}
{{- if .Values.telemetry.receiptKeys }}
- name: receipt-keys
  configMap:
    name: {{ include "telemetry.name" . }}-receipt-keys
{{- end }}
- name: api-access
  projected:
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3607
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                fieldPath: metadata.namespace
{{- if .Values.telemetry.kubeconfigs.names }}
- name: kubeconfigs
  secret:
    secretName: {{ .Values.telemetry.kubeconfigs.existingSecret }}
{{- end }}
{{- end }}

{{/* What every collector is called with beside its own name. Its log is for machines; commands that people run in its
container speak to people. */}}
{{- define "telemetry.collectArgs" -}}
- --log-format={{ .Values.telemetry.logFormat }}
{{- if .Values.telemetry.userClusters }}
- --user-clusters
{{- end }}
{{- range .Values.telemetry.kubeconfigs.names }}
- --kubeconfig-for={{ . }}=/etc/kubermatic-telemetry/kubeconfigs/{{ . }}
{{- end }}
{{- range .Values.telemetry.collectArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* The container that reads the identity from its Secret, or makes both. */}}
{{- define "telemetry.identityContainer" -}}
- name: identity
  {{- include "telemetry.container" . | nindent 2 }}
  args:
    - init
    - --log-format={{ .Values.telemetry.logFormat }}
    - --secret={{ .Release.Namespace }}/{{ include "telemetry.identitySecret" . }}
    {{- if .Values.telemetry.uuid }}
    - --client-uuid={{ .Values.telemetry.uuid }}
    {{- else }}
    - --take-over={{ .Release.Namespace }}/{{ include "telemetry.earlierSecret" . }}
    {{- end }}
  env:
    {{- include "telemetry.env" . | nindent 4 }}
  volumeMounts:
    {{- include "telemetry.mounts" . | nindent 4 }}
    {{- include "telemetry.apiMounts" . | nindent 4 }}
  resources:
    {{- toYaml .Values.telemetry.resources | nindent 4 }}
{{- end }}
