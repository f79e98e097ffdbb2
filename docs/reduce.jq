# Cuts a dump of KKP objects down to what a usage record can need.
#
#   kubectl get clusters.kubermatic.k8c.io -o json | jq -f reduce.jq > clusters.json
#
# Reads a List (or a single object) as `kubectl get ... -o json` writes it, of the kinds KubermaticConfiguration, Seed,
# Cluster, Project, User, UserSSHKey, MachineDeployment and Node, and writes a List of the same objects with only the
# fields named in the table `kinds` below. Everything else stays behind: credentials, tokens, e-mail addresses, public
# keys, network addresses, human-readable names, annotations, and objects of any other kind.
#
# The result is still for this program only, not for handing on: it has the names of objects, because pseudonyms are made
# from them (the name of a node may well be a host name), and the locations of seeds and datacenters.
#
# A field that is absent stays absent. A value of the wrong type stays recognisably wrong without its content: numbers,
# booleans and null are kept, a string becomes "malformed", an array [] and an object {}. The reduced dump therefore
# gives the same record as the full one, problems included.
#
# Works with jq 1.6 and later. To see what would be kept of a full dump, run it and read the output.

# What is left of a value that has the wrong type.
def blunted:
  if type == "string" then "malformed"
  elif type == "array" then []
  elif type == "object" then {}
  else . end;

# Keeps of the input what $shape allows. A shape is one of
#   "text"      a string
#   "number"    a number, or a string that spells one
#   "flag"      true or false, or a string that spells one
#   "empty"     an object, without its content
#   "scheme"    a URL, cut off after its scheme
#   "count"     an array, its strings replaced: only their number is kept
#   [SHAPE]     an array of SHAPE
#   {KEY: SHAPE, ...}   an object with only these keys; the key "*" stands for every key
def kept($shape):
  if ($shape | type) == "object" then
    if type == "object" then
      with_entries(
        ($shape[.key] // $shape["*"]) as $inner
        | select($inner != null)
        | .value |= kept($inner)
      )
    else blunted end
  elif ($shape | type) == "array" then
    if type == "array" then map(kept($shape[0])) else blunted end
  elif $shape == "count" then
    if type == "array" then map(if type == "string" then "redacted" else blunted end) else blunted end
  elif type != "string" then blunted
  elif $shape == "text" then .
  elif $shape == "number" then if test("\\A[-+]?[0-9]+\\z") then . else blunted end
  elif $shape == "flag" then if . == "true" or . == "false" then . else blunted end
  elif $shape == "scheme" then
    if . == "" then . elif test("\\A[A-Za-z][A-Za-z0-9+.-]*://") then split("://")[0] + "://" else blunted end
  else blunted end;

# The cloud providers of KKP, with the fields that say in which region a datacenter is.
def providers: {
  alibaba: {region: "text"},
  anexia: {locationID: "text"},
  aws: {region: "text"},
  azure: {location: "text"},
  baremetal: "empty",
  bringyourown: "empty",
  digitalocean: {region: "text"},
  edge: "empty",
  fake: "empty",
  gcp: {region: "text"},
  hetzner: {datacenter: "text", location: "text"},
  kubevirt: "empty",
  nutanix: "empty",
  openstack: {region: "text"},
  packet: {facilities: ["text"], metro: "text"},
  vmwareclouddirector: "empty",
  vsphere: {datacenter: "text"}
};

# The fields that every object keeps.
def common: {
  apiVersion: "text",
  kind: "text",
  metadata: {
    name: "text",
    namespace: "text",
    uid: "text",
    deletionTimestamp: "text",
    labels: {"project-id": "text"},
    ownerReferences: [{kind: "text", name: "text"}]
  }
};

# The fields that each kind keeps besides.
def kinds: {
  KubermaticConfiguration: {
    spec: {exposeStrategy: "text"},
    status: {kubermaticEdition: "text", kubermaticVersion: "text"}
  },
  Seed: {
    spec: {
      country: "text",
      location: "text",
      exposeStrategy: "text",
      mla: {userClusterMLAEnabled: "flag"},
      datacenters: {"*": {country: "text", location: "text", spec: providers}}
    },
    status: {clusters: "number", versions: {kubermatic: "text", cluster: "text"}}
  },
  Cluster: {
    spec: {
      cloud: ({dc: "text", providerName: "text"} + (providers | map_values("empty"))),
      clusterNetwork: {ipFamily: "text", konnectivityEnabled: "flag", pods: {cidrBlocks: "count"}},
      cniPlugin: {type: "text", version: "text"},
      componentsOverride: {etcd: {clusterSize: "number"}},
      containerRuntime: "text",
      enableUserSSHKeyAgent: "flag",
      exposeStrategy: "text",
      features: {etcdLauncher: "flag"},
      mla: {loggingEnabled: "flag", monitoringEnabled: "flag"},
      opaIntegration: {enabled: "flag"},
      version: "text"
    },
    status: {
      conditions: {ClusterControllerReconciledSuccessfully: {kubermaticVersion: "text"}},
      phase: "text",
      versions: {apiserver: "text", controlPlane: "text"}
    }
  },
  Project: {},
  User: {spec: {admin: "flag", project: "text"}},
  UserSSHKey: {spec: {clusters: ["text"], project: "text"}},
  MachineDeployment: {
    spec: {
      replicas: "number",
      template: {
        spec: {
          providerSpec: {value: {cloudProvider: "text", operatingSystem: "text"}},
          versions: {kubelet: "text"}
        }
      }
    }
  },
  Node: {
    spec: {providerID: "scheme"},
    status: {
      capacity: {"*": "text"},
      nodeInfo: {
        architecture: "text",
        containerRuntimeVersion: "text",
        kernelVersion: "text",
        kubeletVersion: "text",
        operatingSystem: "text",
        osImage: "text"
      }
    }
  }
};

# The objects of a dump: the items of a list, or the single object that it is. The items of a list that the API server
# makes itself (a NodeList, as `kubectl get --raw` prints it) do not say their kind.
def objects_of_dump:
  if type != "object" then error("not the output of kubectl get -o json")
  elif (.kind | type) == "string" and (.kind | endswith("List")) and (.items | type) == "array" then
    .kind[:-4] as $kind
    | .apiVersion as $version
    | .items[]
    | if type == "object" and $kind != "" and (has("kind") | not) then .kind = $kind | .apiVersion = $version else . end
  else . end;

kinds as $kinds
| {
    apiVersion: "v1",
    kind: "List",
    metadata: {resourceVersion: ""},
    items: [
      objects_of_dump
      | select(type == "object" and (.kind | type) == "string")
      | $kinds[.kind] as $fields
      | select($fields != null)
      | kept(common + $fields)
    ]
  }
