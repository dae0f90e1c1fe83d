{{/* Combinations that would be silently ignored or cannot work; each with a sentence that says what to set. */}}
{{- define "leadscore.refuse" -}}
{{- $v := .Values -}}
{{- $canary := include "leadscore.canary" . -}}
{{- if and (eq $v.workload.kind "Deployment") $v.analysis.enabled -}}
{{- fail "analysis.enabled judges a Rollout, and workload.kind is Deployment: nothing would roll back. Set analysis.enabled=false or workload.kind=Rollout." -}}
{{- end -}}
{{- if and (eq $v.workload.kind "Deployment") (eq $v.rollout.strategy "blueGreen") -}}
{{- fail "rollout.strategy=blueGreen needs Argo Rollouts, and workload.kind is Deployment. Set workload.kind=Rollout or leave rollout.strategy at canary." -}}
{{- end -}}
{{- if and (eq $v.workload.kind "Rollout") (eq $v.rollout.strategy "blueGreen") $v.analysis.enabled -}}
{{- fail "analysis.enabled compares a canary's traffic with stable's, and a blue-green preview has none. Set analysis.enabled=false or rollout.strategy=canary." -}}
{{- end -}}
{{- if and $v.analysis.enabled (not $v.prometheus.address) -}}
{{- fail "analysis.enabled needs prometheus.address: without figures no version could be sent back. Name your Prometheus or set analysis.enabled=false." -}}
{{- end -}}
{{- if and $v.analysis.enabled $v.analysis.traefikMetrics (ne $v.trafficRouting.provider "traefik") -}}
{{- fail "analysis.traefikMetrics asks for the metrics of an IngressRoute, which exists only with trafficRouting.provider=traefik. Set analysis.traefikMetrics=false." -}}
{{- end -}}
{{- if and $v.shadow.enabled (ne $v.trafficRouting.provider "traefik") -}}
{{- fail (printf "shadow.enabled mirrors requests with a TraefikService, and trafficRouting.provider is %s (Traefik's Gateway API provider has no RequestMirror). Set trafficRouting.provider=traefik or shadow.enabled=false." $v.trafficRouting.provider) -}}
{{- end -}}
{{- if and (eq $v.trafficRouting.provider "gatewayAPI") (not $v.trafficRouting.gatewayAPI.gateway) -}}
{{- fail "trafficRouting.provider=gatewayAPI needs a Gateway to attach to. Set trafficRouting.gatewayAPI.gateway." -}}
{{- end -}}
{{- if not $v.trafficRouting.paths -}}
{{- fail "trafficRouting.paths is empty: nothing would be routed. List the scoring paths, or set trafficRouting.provider=none." -}}
{{- end -}}
{{- if and $v.trafficRouting.traefik.tlsSecret (ne $v.trafficRouting.provider "traefik") -}}
{{- fail "trafficRouting.traefik.tlsSecret is used by provider traefik only. Unset it, or set trafficRouting.provider=traefik." -}}
{{- end -}}
{{- if and (or $v.trafficRouting.traefik.tlsSecret (and $v.console.enabled $v.console.tlsSecret)) (eq (join "," $v.trafficRouting.traefik.entryPoints) "web") -}}
{{- fail "A tlsSecret is set, and the only entry point is web, where Traefik takes no TLS: https would find no route. Set trafficRouting.traefik.entryPoints=[websecure]." -}}
{{- end -}}
{{- if $canary -}}
{{- $last := 0 -}}
{{- range $v.rollout.steps -}}
{{- range $key, $_ := . -}}
{{- if not (has $key (list "weight" "duration")) -}}
{{- fail (printf "rollout.steps knows weight and duration, not %s (Argo's Traefik router ignores setMirrorRoute and setHeaderRoute without a word). For a copy of the traffic use shadow.enabled." $key) -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "^([0-9]+(s|m|h))+$" (toString .duration)) -}}
{{- fail (printf "rollout.steps: the duration %v of weight %v is none. Write it in s, m or h, such as 30m or 24h." .duration .weight) -}}
{{- end -}}
{{- if or (le (int .weight) $last) (gt (int .weight) 100) -}}
{{- fail (printf "rollout.steps: weights must grow from step to step up to 100, and %v follows %d." .weight $last) -}}
{{- end -}}
{{- $last = int .weight -}}
{{- end -}}
{{- if ne $last 100 -}}
{{- fail (printf "rollout.steps ends at %d: the last step must be weight 100, the intensive watch before the old version goes." $last) -}}
{{- end -}}
{{- if eq $v.trafficRouting.provider "none" -}}
{{- $replicas := ternary $v.autoscaling.minReplicas $v.workload.replicas $v.autoscaling.enabled | int -}}
{{- $first := (first $v.rollout.steps).weight | int -}}
{{- if lt (mul $replicas $first) 100 -}}
{{- fail (printf "With trafficRouting.provider=none a weight is a share of pods, and %d %% of %d pods is less than one. Use a router, more replicas, or a larger first weight." $first $replicas) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is greater than autoscaling.maxReplicas." -}}
{{- end -}}
{{- if and (not $v.events.existingSecret) (not $v.postgresql.enabled) -}}
{{- fail "There is no event store. Set events.existingSecret (your PostgreSQL's URL), or postgresql.enabled=true for an evaluation." -}}
{{- end -}}
{{- if and $v.events.existingSecret $v.postgresql.enabled (not (and $v.mlflow.enabled (not $v.mlflow.existingSecret))) -}}
{{- fail "events.existingSecret names your PostgreSQL, so the bundled one would hold nothing. Set postgresql.enabled=false." -}}
{{- end -}}
{{- if and (eq $v.scoring.auth "keys") (not $v.apiKeys.existingSecret) (not $v.apiKeys.generate) -}}
{{- fail "scoring.auth=keys and there are no keys. Set apiKeys.existingSecret, or apiKeys.generate=true for an evaluation." -}}
{{- end -}}
{{- if and (eq $v.scoring.auth "off") $v.apiKeys.existingSecret -}}
{{- fail "apiKeys.existingSecret is set and scoring.auth is off: every caller would be let in all the same. Set scoring.auth=keys." -}}
{{- end -}}
{{- if and (eq $v.scoring.auth "off") $v.apiKeys.clientSecret -}}
{{- fail "apiKeys.clientSecret is set and scoring.auth is off: the key would not be used. Unset it, or set scoring.auth=keys." -}}
{{- end -}}
{{- if and $v.loadTest.enabled (eq $v.scoring.auth "keys") (not (include "leadscore.clientSecret" .)) -}}
{{- fail "loadTest.enabled needs a key, and apiKeys.existingSecret holds only digests. Set apiKeys.clientSecret to a Secret with a key itself." -}}
{{- end -}}
{{- if and (eq $v.model.source "registry") (not (include "leadscore.trackingUri" .)) -}}
{{- fail "model.source=registry and there is no registry. Set model.registry.trackingUri or mlflow.enabled=true." -}}
{{- end -}}
{{- if and (eq $v.model.source "claim") (not $v.model.claim.name) -}}
{{- fail "model.source=claim needs model.claim.name." -}}
{{- end -}}
{{- if and $v.shadow.enabled (eq $v.model.source "image") (or $v.model.image.tag $v.model.image.digest) -}}
{{- fail "shadow.enabled would serve the champion's artefact under another version: model.image.tag or model.image.digest names one image for both. Leave both empty (the tag is then the version), or use model.source=registry." -}}
{{- end -}}
{{- if and $v.shadow.enabled (eq $v.model.source "claim") (not (contains "{version}" $v.model.claim.subPath)) -}}
{{- fail "shadow.enabled would serve the champion's artefact under another version: model.claim.subPath is the same for both. Put {version} into it." -}}
{{- end -}}
{{- if and (eq (int $v.model.version) 0) (eq $v.model.source "image") -}}
{{- fail "model.version=0 leaves the version to the pod template's label, and an image's tag cannot read it. Set model.source=registry or claim, or name a version." -}}
{{- end -}}
{{- if and (eq (int $v.model.version) 0) (not $v.model.keepLive) -}}
{{- fail "model.version=0 names no version and model.keepLive=false keeps none. Name a version, or leave model.keepLive true." -}}
{{- end -}}
{{- $own := append (keys (include "leadscore.ownLabels" (dict "root" . "component" "scoring") | fromYaml)) (include "leadscore.versionLabel" .) -}}
{{- range $where, $labels := dict "commonLabels" $v.commonLabels "scoring.podLabels" $v.scoring.podLabels "operator.podLabels" $v.operator.podLabels "operator.jobs.podLabels" $v.operator.jobs.podLabels "mlflow.podLabels" $v.mlflow.podLabels "postgresql.podLabels" $v.postgresql.podLabels "loadTest.podLabels" $v.loadTest.podLabels "batch.podLabels" $v.batch.podLabels "console.podLabels" $v.console.podLabels "monitor.podLabels" $v.monitor.podLabels "events.migration.podLabels" $v.events.migration.podLabels -}}
{{- range $key, $_ := $labels -}}
{{- if has $key $own -}}
{{- fail (printf "%s sets %s, which the chart sets itself: selectors or the served version depend on it. Set model.version for a version; take another label for anything else." $where $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.caBundle.configMap $v.caBundle.secret -}}
{{- fail "caBundle.configMap and caBundle.secret name two bundles, and pods trust one. Unset one of them." -}}
{{- end -}}
{{- if ne $v.spool.type "existingClaim" -}}
{{- $workers := 1 -}}
{{- range $v.scoring.extraEnv -}}{{- if eq .name "LEADSCORE_WORKERS" -}}{{- $workers = int .value -}}{{- end -}}{{- end -}}
{{- if gt (mul $workers (int64 $v.spool.maxBytes)) (include "leadscore.bytes" $v.spool.size | int64) -}}
{{- fail (printf "spool.maxBytes is %d for each of %d worker(s), and spool.size is %s: the volume would be full, and the pod evicted, before the bound holds. Lower spool.maxBytes or raise spool.size." (int64 $v.spool.maxBytes) $workers (toString $v.spool.size)) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.spool.type "existingClaim") (not $v.spool.existingClaim) -}}
{{- fail "spool.type=existingClaim needs spool.existingClaim." -}}
{{- end -}}
{{- if and (ne $v.spool.type "existingClaim") $v.spool.existingClaim -}}
{{- fail "spool.existingClaim is set and spool.type is not existingClaim: the claim would not be used." -}}
{{- end -}}
{{- if $v.mlflow.enabled -}}
{{- if not $v.mlflow.artifactRoot -}}
{{- fail "mlflow.enabled needs mlflow.artifactRoot (s3://bucket/path, or file:///artefacts with mlflow.artifactClaim): artefacts are not proxied." -}}
{{- end -}}
{{- if and (hasPrefix "file:" $v.mlflow.artifactRoot) (not $v.mlflow.artifactClaim) -}}
{{- fail "mlflow.artifactRoot is a folder, which pods do not share. Set mlflow.artifactClaim (ReadWriteMany), or use an object store." -}}
{{- end -}}
{{- if and (not $v.mlflow.existingSecret) (not $v.postgresql.enabled) -}}
{{- fail "mlflow.enabled needs a database. Set mlflow.existingSecret (its URL), or postgresql.enabled=true for an evaluation." -}}
{{- end -}}
{{- end -}}
{{- include "leadscore.refuseConsole" . -}}
{{- include "leadscore.refuseBatch" . -}}
{{- include "leadscore.refuseCrm" . -}}
{{- end -}}

{{- define "leadscore.refuseConsole" -}}
{{- $v := .Values -}}
{{- $c := $v.console -}}
{{- if $c.enabled -}}
{{- if not $v.monitor.enabled -}}
{{- fail "console.enabled shows what the monitor counts, and monitor.enabled is false: every page would say that it knows nothing. Set monitor.enabled=true." -}}
{{- end -}}
{{- if and $c.host (eq $v.trafficRouting.provider "none") -}}
{{- fail "console.host is routed by nobody: trafficRouting.provider is none. Unset it and route to the Service yourself (console.url then says the address), or name a provider." -}}
{{- end -}}
{{- if and $c.host (eq $c.host $v.trafficRouting.host) -}}
{{- fail "console.host is the API's host, whose other paths stay inside. Give the console a host of its own." -}}
{{- end -}}
{{- if and $c.tlsSecret (or (not $c.host) (ne $v.trafficRouting.provider "traefik")) -}}
{{- fail "console.tlsSecret is used by a route of provider traefik only. Unset it, or set console.host and trafficRouting.provider=traefik." -}}
{{- end -}}
{{- if and $c.oidc.existingSecret (not $v.auth.oidc.issuer) -}}
{{- fail "console.oidc.existingSecret names a client, and auth.oidc.issuer no issuer. Set both, or neither." -}}
{{- end -}}
{{- if and $c.oidc.existingSecret (not (include "leadscore.consoleUrl" .)) -}}
{{- fail "console.oidc.existingSecret is set, and the issuer would not know where to send people back to. Set console.host or console.url." -}}
{{- end -}}
{{- end -}}
{{- if and $v.monitor.channels.existingSecret (not $v.monitor.enabled) -}}
{{- fail "monitor.channels.existingSecret is set and monitor.enabled is false: nobody would deliver an alert. Set monitor.enabled=true." -}}
{{- end -}}
{{- end -}}

{{- define "leadscore.refuseBatch" -}}
{{- $v := .Values -}}
{{- $b := $v.batch -}}
{{- if $b.enabled -}}
{{- if not (include "leadscore.trackingUri" .) -}}
{{- fail "batch.enabled scores with the version that is champion in the registry, and there is none: with a version from the values, one that is only on trial would score every lead. Set mlflow.enabled=true or model.registry.trackingUri." -}}
{{- end -}}
{{- if not $b.leads -}}
{{- fail "batch.enabled needs batch.leads: the Delta table of leads, such as s3://bucket/crm/leads." -}}
{{- end -}}
{{- if not (or $b.claim $b.lake) -}}
{{- fail "batch.enabled needs a place for the lake that outlives a pod. Set batch.lake (s3://bucket/lake) or batch.claim." -}}
{{- end -}}
{{- range $where, $place := dict "batch.leads" $b.leads "batch.lake" $b.lake -}}
{{- if and (hasPrefix "/" $place) (not $b.claim) (not $b.extraVolumeMounts) (not $v.pods.extraVolumeMounts) -}}
{{- fail (printf "%s is the folder %s, and no volume is mounted there: it would be empty in each pod. Set batch.claim (mounted at /lake), or a URL." $where $place) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "leadscore.refuseCrm" -}}
{{- $v := .Values -}}
{{- $names := list -}}
{{- range $v.crm.targets -}}
{{- if has .name $names -}}
{{- fail (printf "crm.targets has two targets %s. Each needs a name of its own." .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- if not (regexMatch "^[a-z][a-z0-9-]{0,39}$" .name) -}}
{{- fail (printf "crm.targets: %s is no name of a target. Small letters, digits and hyphens, such as salesforce." .name) -}}
{{- end -}}
{{- if .credentials -}}
{{- fail (printf "crm.targets: %s names a folder of credentials, which is the pod's affair. Set existingSecret to a Secret whose entries are its files." .name) -}}
{{- end -}}
{{- if and (ne .kind "table") (not .existingSecret) -}}
{{- fail (printf "crm.targets: %s has no credentials. Set existingSecret to a Secret whose entries are their files (client_id, client_secret, …). Webhook endpoints are not targets here: leadscore crm endpoints add." .name) -}}
{{- end -}}
{{- end -}}
{{- if and $v.crm.targets (not $v.monitor.enabled) -}}
{{- fail "crm.targets are told by the monitor, and monitor.enabled is false: nobody would tell them. Set monitor.enabled=true." -}}
{{- end -}}
{{- if and (include "leadscore.crmTables" .) (not $v.batch.enabled) -}}
{{- fail "crm.targets of kind table are tables of the lake, and batch.enabled is false: there is no lake. Set batch.enabled=true." -}}
{{- end -}}
{{- end -}}
